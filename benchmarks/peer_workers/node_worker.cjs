// Reads faces or a picture with @vladmandic/human or @vladmandic/face-api: node node_worker.cjs FOLDER JOB.json
//
// FOLDER holds the node_modules; JOB.json is what benchmarks/peers.py writes. Prints one line of JSON.
'use strict';

const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [folder, jobFile] = process.argv.slice(2);
const job = JSON.parse(fs.readFileSync(jobFile, 'utf8'));
const load = createRequire(path.resolve(folder, 'package.json'));
const home = (name) => path.join(path.resolve(folder), 'node_modules', name);

// TensorFlow.js without its native module loads models by fetch alone.
const remote = globalThis.fetch;
globalThis.fetch = async (url, options) => {
  const name = String(url);
  if (!name.startsWith('file://')) return remote(url, options);
  const body = fs.readFileSync(new URL(name));
  return new Response(body, { headers: { 'content-type': name.endsWith('.json') ? 'application/json' : 'application/octet-stream' } });
};

async function backend() {
  const wasm = load('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(path.join(home('@tensorflow/tfjs-backend-wasm'), 'dist') + path.sep);
  wasm.setThreadsCount(1);
  const tf = load('@tensorflow/tfjs');
  await tf.setBackend('wasm');
  await tf.ready();
  return tf;
}

async function human(tf) {
  const { Human } = load(path.join(home('@vladmandic/human'), 'dist/human.node-wasm.js'));
  const off = { enabled: false };
  const reader = new Human({
    backend: 'wasm', modelBasePath: `file://${home('@vladmandic/human')}/models/`, debug: false, cacheModels: false,
    wasmPath: path.join(home('@tensorflow/tfjs-backend-wasm'), 'dist') + path.sep, skipAllowed: false, async: false,
    filter: off, gesture: off, body: off, hand: off, object: off, segmentation: off,
    face: {
      enabled: true, detector: { rotation: false, maxDetected: 10 }, mesh: off, iris: off, attention: off,
      description: off, antispoof: off, liveness: off, emotion: { enabled: true, minConfidence: 0 },
    },
  });
  await reader.load();
  const network = reader.models.models.emotion;
  const names = ['angry', 'disgust', 'fear', 'happy', 'sad', 'surprise', 'neutral'];
  const side = network.inputs[0].shape[2];
  return {
    version: load(path.join(home('@vladmandic/human'), 'package.json')).version,
    // What human does to the face that its detector cut out.
    crop: async (image) => {
      const answer = tf.tidy(() => {
        const small = tf.image.resizeBilinear(image.toFloat().div(255).expandDims(0), [side, side], false);
        const gray = small.mul([0.2989, 0.587, 0.114]).sum(3, true);
        return network.execute(gray.sub(0.5).mul(2));
      });
      const values = await answer.data();
      answer.dispose();
      return Object.fromEntries(names.map((name, i) => [name, values[i]]));
    },
    detect: async (image) => {
      const result = await reader.detect(image);
      return result.face.map((face) => ({
        area: face.box[2] * face.box[3], scores: Object.fromEntries(face.emotion.map((e) => [e.emotion, e.score])),
      }));
    },
  };
}

async function faceApi() {
  const api = load('@vladmandic/face-api/dist/face-api.node-wasm.js');
  const models = path.join(home('@vladmandic/face-api'), 'model');
  await api.nets.faceExpressionNet.loadFromDisk(models);
  // Its default detector finds fewer of these faces and takes four times as long.
  if (job.mode !== 'crop') await api.nets.tinyFaceDetector.loadFromDisk(models);
  const options = new api.TinyFaceDetectorOptions();
  const plain = (found) => Object.fromEntries(found.asSortedArray().map((e) => [e.expression, e.probability]));
  return {
    version: load(path.join(home('@vladmandic/face-api'), 'package.json')).version,
    crop: async (image) => plain(await api.nets.faceExpressionNet.predictExpressions(image)),
    detect: async (image) => {
      const faces = await api.detectAllFaces(image, options).withFaceExpressions();
      return faces.map((face) => ({ area: face.detection.box.area, scores: plain(face.expressions) }));
    },
  };
}

async function main() {
  const began = performance.now();
  const tf = await backend();
  const tool = await (job.tool === 'human' ? human(tf) : faceApi());
  const loading = performance.now() - began;
  const bytes = fs.readFileSync(job.images);
  const [count, height, width] = job.shape;
  const step = height * width * 3;
  const answers = [];
  const milliseconds = [];
  for (let i = 0; i < count; i++) {
    const image = tf.tensor3d(new Int32Array(bytes.subarray(i * step, (i + 1) * step)), [height, width, 3], 'int32');
    const before = process.cpuUsage();
    if (job.mode === 'crop') answers.push(await tool.crop(image));
    else {
      const faces = await tool.detect(image);
      answers.push(faces.length ? faces.reduce((a, b) => (b.area > a.area ? b : a)).scores : null);
    }
    const spent = process.cpuUsage(before);
    milliseconds.push((spent.user + spent.system) / 1000);
    image.dispose();
  }
  const peak = Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]) / 1000;
  console.log(JSON.stringify({ version: tool.version, answers, milliseconds, peak_mb: peak, load_ms: loading }));
}

main().catch((error) => { console.error(error); process.exit(1); });
