"""Trains the demo's small Swin on the pictures of `scenes` and saves it in Hugging Face layout.

The topology is that of the published models (four stages, windows of 7, shifted every second
block, patch merging, heads of 24 channels), only narrower and shallower: 24 channels, 2-2-2-2.
Every random choice comes from one seed.  A checkpoint is written after each epoch, so a run that
was stopped goes on with --resume; the accuracy on the held-out set is printed every epoch.

    python train.py --train train.raw --test test.raw --work runs/a
    python train.py --export runs/a --test test.raw --model ../demo/model
"""

import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F
from swin_fast import FastSwin
from transformers import SwinConfig, SwinForImageClassification

CLASSES = ["marble", "wood", "brick", "fabric", "mountains", "dunes", "ocean", "city", "planet",
           "spheres"]
SIZE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def halved(pixels):
    """All pictures at half their size, each pixel the mean of four."""
    n = len(pixels)
    small = np.empty((n, SIZE // 2, SIZE // 2, 3), dtype=np.uint8)
    for begin in range(0, n, 100):
        x = torch.from_numpy(np.array(pixels[begin:begin + 100])).permute(0, 3, 1, 2).float()
        x = F.avg_pool2d(x, 2).round_().to(torch.uint8).permute(0, 2, 3, 1)
        small[begin:begin + 100] = x.numpy()
    return small


def make_model():
    config = SwinConfig(
        image_size=SIZE, patch_size=4, embed_dim=24, depths=[2, 2, 2, 2], num_heads=[1, 2, 4, 8],
        window_size=7, mlp_ratio=4.0, drop_path_rate=0.05, num_labels=len(CLASSES),
        id2label=dict(enumerate(CLASSES)), label2id={name: i for i, name in enumerate(CLASSES)})
    model = SwinForImageClassification(config)
    # The library draws all weights with a deviation of 0.02, made for hundreds of channels.  With
    # 24 that leaves every branch silent for the first thousand steps: scale by the fan-in instead.
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            fan_in = module.weight[0].numel()
            last = name.endswith("output.dense") or name == "classifier"
            torch.nn.init.trunc_normal_(module.weight, std=(0.4 if last else 0.9) / fan_in ** 0.5)
    return model


class Pictures:
    """The raw file of `scenes --raw`, mapped: [n, 224, 224, 3] bytes, and a byte per label."""

    def __init__(self, path):
        self.labels = np.fromfile(path + ".labels", dtype=np.uint8)
        self.pixels = np.memmap(path, dtype=np.uint8, mode="r",
                                shape=(len(self.labels), SIZE, SIZE, 3))

    def __len__(self):
        return len(self.labels)

    def batch(self, index):
        x = torch.from_numpy(np.stack([self.pixels[i] for i in index]))
        y = torch.from_numpy(self.labels[index].astype(np.int64))
        return x.permute(0, 3, 1, 2), y


def normalise(x):
    mean = torch.tensor(MEAN).view(1, 3, 1, 1)
    std = torch.tensor(STD).view(1, 3, 1, 1)
    return (x - mean) / std


def shifted(picture, rng, shift):
    """The picture moved by up to `shift` pixels, edges mirrored, and mirrored half the time."""
    size = picture.shape[0]
    rows = np.abs(np.arange(size) + rng.integers(-shift, shift + 1))
    cols = np.abs(np.arange(size) + rng.integers(-shift, shift + 1))
    rows = np.where(rows >= size, 2 * size - 2 - rows, rows)
    cols = np.where(cols >= size, 2 * size - 2 - cols, cols)
    if rng.random() < 0.5:
        cols = cols[::-1]
    return picture.take(rows, 0).take(cols, 1)


def part_of(picture, size, rng):
    """A square part at full scale, mirrored half the time."""
    a, b = rng.integers(0, SIZE - size + 1, 2)
    part = picture[a:a + size, b:b + size]
    return part[:, ::-1] if rng.random() < 0.5 else part


def augmented(pictures, index, size, rng):
    """A training batch at 224 or at 112 pixels: moved, mirrored, recoloured, normalised.

    The small size is mostly the whole picture at half its scale; now and then a quarter of it at
    full scale, so that going over to 224 shows nothing quite new.
    """
    if size == SIZE:
        x = np.stack([shifted(pictures.pixels[i], rng, 20) for i in index])
    elif rng.random() < 0.8:
        x = np.stack([shifted(pictures.small[i], rng, 10) for i in index])
    else:
        x = np.stack([part_of(pictures.pixels[i], size, rng) for i in index])
    x = torch.from_numpy(x).permute(0, 3, 1, 2).float() / 255.0
    n = x.shape[0]
    grey = torch.tensor([0.3, 0.59, 0.11]).view(1, 3, 1, 1)
    gain = torch.from_numpy(rng.uniform(0.8, 1.2, (n, 1, 1, 1)).astype(np.float32))
    tint = torch.from_numpy(rng.uniform(0.93, 1.07, (n, 3, 1, 1)).astype(np.float32))
    depth = torch.from_numpy(rng.uniform(0.6, 1.2, (n, 1, 1, 1)).astype(np.float32))
    luma = (x * grey).sum(1, keepdim=True)
    x = ((luma + (x - luma) * depth) * gain * tint).clamp_(0.0, 1.0)
    return normalise(x), torch.from_numpy(pictures.labels[index].astype(np.int64))


def accuracy(model, pictures, limit=None, size=SIZE, batch=50):
    """The share of right answers, and the table of them; in bfloat16 unless `model` is exact."""
    count = min(limit or len(pictures), len(pictures))
    table = np.zeros((len(CLASSES), len(CLASSES)), dtype=np.int64)
    with torch.no_grad():
        for begin in range(0, count, batch):
            x, y = pictures.batch(np.arange(begin, min(begin + batch, count)))
            x = x.float() / 255.0
            if size != SIZE:
                x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
            top = model(normalise(x)).argmax(1)
            np.add.at(table, (y.numpy(), top.numpy()), 1)
    return np.trace(table) / count, table


def train(args):
    torch.manual_seed(args.seed)
    model = make_model()
    fast = FastSwin(model)
    pictures = Pictures(args.train)
    test = Pictures(args.test)
    # The plan: a size for every epoch.  The rate falls along a cosine over the whole work, an
    # epoch of small pictures being a quarter of the work of a full one.
    sizes = []
    for part in args.plan.split(","):
        size, epochs = part.split(":")
        sizes += [int(size)] * int(epochs)
    batches = {112: args.batch, SIZE: args.batch // 2}
    work = [(size / SIZE) ** 2 for size in sizes]
    done_before = np.concatenate([[0.0], np.cumsum(work)])
    # Biases, norms and the tables of relative positions are not decayed.
    kept = [p for n, p in model.named_parameters() if p.ndim > 1 and "position_bias" not in n]
    free = [p for n, p in model.named_parameters() if p.ndim <= 1 or "position_bias" in n]
    optimiser = torch.optim.AdamW([{"params": kept, "weight_decay": args.decay},
                                   {"params": free, "weight_decay": 0.0}],
                                  lr=args.rate, betas=(0.9, 0.98))
    os.makedirs(args.work, exist_ok=True)
    saved = os.path.join(args.work, "checkpoint.pt")
    first = 0
    if args.resume and os.path.exists(saved):
        state = torch.load(saved, weights_only=False)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["epoch"] + 1
    if 112 in sizes[first:]:
        pictures.small = halved(pictures.pixels)
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(pictures)} pictures, "
          f"plan {args.plan}", flush=True)
    start = time.time()
    maker = concurrent.futures.ThreadPoolExecutor(1)
    for epoch in range(first, len(sizes)):
        size = sizes[epoch]
        batch = batches[size]
        steps = len(pictures) // batch // args.parts
        rng = np.random.default_rng([args.seed, epoch])
        torch.manual_seed(args.seed * 1000 + epoch)
        order = rng.permutation(len(pictures))
        model.train()
        loss_sum = 0.0
        right = 0

        # The next batch is made by a second thread while this one is learned from.
        def make(step):
            return augmented(pictures, order[step * batch:(step + 1) * batch], size, rng)

        coming = maker.submit(make, 0)
        for step in range(steps):
            done = (done_before[epoch] + work[epoch] * step / steps) / done_before[-1]
            rate = args.rate * 0.5 * (1.0 + math.cos(math.pi * done))
            if args.minutes:
                spent = min(1.0, (time.time() - start) / (60.0 * args.minutes))
                rate = args.rate * 0.5 * (1.0 + math.cos(math.pi * spent))
            if epoch == 0:
                rate *= min(1.0, (step + 1) / min(steps, 250))
            for group in optimiser.param_groups:
                group["lr"] = rate
            x, y = coming.result()
            if step + 1 < steps:
                coming = maker.submit(make, step + 1)
            logits = fast(x)
            right += int((logits.argmax(1) == y).sum())
            loss = F.cross_entropy(logits, y, label_smoothing=0.05)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimiser.step()
            loss_sum += loss.item()
            if args.minutes and time.time() - start > 60.0 * args.minutes:
                steps = step + 1
                break
            if step % 100 == 99:
                print(f"  {step + 1}/{steps} loss {loss_sum / (step + 1):.4f} "
                      f"{time.time() - start:.0f} s", flush=True)
        model.eval()
        held, _ = accuracy(fast, test, args.test_count, size)
        print(f"epoch {epoch + 1}/{len(sizes)} size {size} loss {loss_sum / steps:.4f} "
              f"train {100.0 * right / (steps * batch):.2f} % test {100.0 * held:.2f} % "
              f"after {time.time() - start:.0f} s", flush=True)
        torch.save({"model": model.state_dict(), "epoch": epoch, "optimiser": optimiser.state_dict()},
                   saved + ".part")
        os.replace(saved + ".part", saved)
        if args.minutes and time.time() - start > 60.0 * args.minutes:
            break


def slim(path):
    """Merges equal constants and shortens the names of values; nodes keep theirs.

    The exporter writes some two thousand Constant nodes, of which sixty differ, and spells out a
    module's path in every value: a fifth of the file of so small a model.
    """
    import onnx

    model = onnx.load(path)
    graph = model.graph
    ends = {value.name for value in list(graph.input) + list(graph.output)}
    new_name = {}
    seen = {}
    kept = []

    def short(name):
        new = name.replace("/inner", "").replace("/swin/encoder/layers.", "/")
        return new.replace("/blocks.", ".").replace("_output_0", "")

    for node in graph.node:
        node.name = node.name.replace("/inner", "")
        if node.op_type == "Constant":
            key = node.attribute[0].SerializeToString()
            if key in seen:
                new_name[node.output[0]] = seen[key]
                continue
            seen[key] = f"constant.{len(seen)}"
            new_name[node.output[0]] = node.name = seen[key]
        kept.append(node)
        for i, name in enumerate(node.input):
            if name not in ends:
                node.input[i] = new_name.get(name, short(name))
        for i, name in enumerate(node.output):
            if name not in ends:
                node.output[i] = new_name.get(name, short(name))
    for tensor in graph.initializer:
        tensor.name = short(tensor.name)
    del graph.node[:]
    graph.node.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def export(args):
    """The last checkpoint as config.json, model.safetensors and preprocessor_config.json.

    An ONNX file by PyTorch's own exporter goes beside the run: a witness, no part of the model."""
    model = make_model()
    state = torch.load(os.path.join(args.export, "checkpoint.pt"), weights_only=False)
    model.load_state_dict(state["model"])
    model.eval()
    test = Pictures(args.test)
    right, table = accuracy(lambda x: model(x).logits, test, args.test_count)
    print(f"epoch {state['epoch'] + 1}, test {100.0 * right:.2f} %")
    print("rows: class, columns: answer")
    for name, row in zip(CLASSES, table):
        print(f"{name:10s}", " ".join(f"{n:4d}" for n in row))

    folder = pathlib.Path(args.model)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    preprocessor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True, "size": {"height": SIZE, "width": SIZE}, "resample": 3,
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": list(MEAN), "image_std": list(STD),
        "id2label": {str(i): name for i, name in enumerate(CLASSES)},
    }
    text = json.dumps(preprocessor, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text)

    class Logits(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, pixel_values):
            return self.inner(pixel_values).logits

    path = os.path.join(args.export, "swin-scenes.onnx")
    x, _ = test.batch(np.arange(1))
    x = normalise(x.float() / 255.0)
    torch.onnx.export(Logits(model).eval(), (x,), path, opset_version=13,
                      input_names=["pixel_values"], output_names=["logits"],
                      do_constant_folding=True, dynamo=False)
    slim(path)

    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    same = 0
    right = 0
    count = min(args.test_count or len(test), len(test))
    for i in range(count):
        x, y = test.batch(np.arange(i, i + 1))
        x = normalise(x.float() / 255.0)
        with torch.no_grad():
            want = model(x).logits.numpy()
        got = session.run(["logits"], {"pixel_values": x.numpy()})[0]
        worst = max(worst, float(np.abs(got - want).max()))
        same += int(got.argmax() == want.argmax())
        right += int(got.argmax() == int(y[0]))
    print(f"ONNX: {os.path.getsize(path)} bytes, largest difference of a logit {worst:.2e}, "
          f"same class {same}/{count}, right {right}/{count}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", help="raw file of the training pictures")
    parser.add_argument("--test", required=True, help="raw file of the held-out pictures")
    parser.add_argument("--test-count", type=int, help="use only the first pictures of the test")
    parser.add_argument("--work", default="runs/a", help="folder of the checkpoint")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--export", help="folder of a checkpoint to save as a model")
    parser.add_argument("--model", default="../demo/model", help="folder of the saved model")
    parser.add_argument("--plan", default="112:40,224:14", help="size:epochs of each phase")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--parts", type=int, default=1, help="epochs of a fraction of the pictures")
    parser.add_argument("--minutes", type=float,
                        help="let the rate fall to zero over this much time, then stop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.export:
        export(args)
    elif args.train:
        train(args)
    else:
        parser.error("one of --train and --export is needed")


if __name__ == "__main__":
    main()
