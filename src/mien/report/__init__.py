"""Reports to what people look at: pages, pictures and tables."""
