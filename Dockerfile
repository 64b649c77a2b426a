# mien serve, with nothing but what it needs:
# docker build -t mien . && docker run --stop-timeout 30 -p 8000:8000 -e MIEN_TOKEN=... mien
FROM python:3.13-slim
WORKDIR /app
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src ./src
RUN pip install --no-cache-dir '.[serve,parquet]' \
 && useradd --system --no-create-home --uid 10001 mien \
 && install --directory --owner mien /clips
# By its number, so that Kubernetes can see that it is not root.
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD \
 ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
# Everybody who reaches the port may ask unless MIEN_TOKEN is set; encrypt in front of it.
CMD ["mien", "serve", "--host", "0.0.0.0", "--allow-host", "*", "--clips", "/clips"]
