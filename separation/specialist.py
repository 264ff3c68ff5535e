import numpy as np, onnxruntime as ort

PROVIDERS = ("auto", "cpu", "cuda", "tensorrt")


class Specialist:
    def __init__(self, path, stem, row_stems, provider="auto", threads=1, spinning=False):
        o = ort.SessionOptions()
        o.intra_op_num_threads = threads
        self.s = ort.InferenceSession(str(path), o, providers=["CPUExecutionProvider"])
        self.provider = "CPUExecutionProvider"
        self.device = "cpu"

    def __call__(self, x):
        return np.concatenate([self.s.run(None, {"mix": x[i : i + 1]})[0] for i in range(len(x))])
