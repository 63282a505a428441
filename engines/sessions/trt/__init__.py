"""TensorRT 10 and 11: plans built, kept and run, where the library and a GPU are."""
