"""The same Swin, evaluated for quick training on a CPU.

Works on the parameters of a transformers SwinForImageClassification in place, so that what is
trained here is saved there.  Two things differ from that forward, neither in its mathematics.
Rolling and cutting into windows are one gather of tokens, whose gradient is the inverse gather;
and activations are bfloat16 throughout, with the parameters kept in float32.  It also takes
pictures of 112 pixels, where the last stages are smaller than a window: the window shrinks to
the stage, as in the published code, and uses the middle of its table of relative positions.
"""

import torch
import torch.nn.functional as F

WINDOW = 7


class Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, order, inverse):
        ctx.save_for_backward(inverse)
        return x.index_select(1, order)

    @staticmethod
    def backward(ctx, grad):
        (inverse,) = ctx.saved_tensors
        return grad.index_select(1, inverse), None, None


def window_order(side, window, shift):
    """Token indices in window order after rolling by -shift, and the regions for the mask."""
    grid = torch.arange(side * side).view(side, side)
    region = torch.zeros(side, side, dtype=torch.long)
    if shift:
        cuts = [0, side - window, side - shift, side]
        for i in range(3):
            for j in range(3):
                region[cuts[i]:cuts[i + 1], cuts[j]:cuts[j + 1]] = 3 * i + j
        grid = grid.roll((-shift, -shift), (0, 1))
    n = side // window

    def cut(t):
        return t.view(n, window, n, window).permute(0, 2, 1, 3).reshape(-1)

    return cut(grid), cut(region).view(n * n, window * window)


def relative_index(window):
    at = torch.arange(window)
    dy = at.view(-1, 1, 1, 1) - at.view(1, 1, -1, 1) + WINDOW - 1
    dx = at.view(1, -1, 1, 1) - at.view(1, 1, 1, -1) + WINDOW - 1
    return (dy * (2 * WINDOW - 1) + dx).reshape(-1)


class Plan:
    """Everything about one block that depends on the picture's size alone."""

    def __init__(self, side, shifted, dtype):
        self.window = min(WINDOW, side)
        shift = WINDOW // 2 if shifted and side > WINDOW else 0
        self.order, region = window_order(side, self.window, shift)
        self.inverse = torch.argsort(self.order)
        self.index = relative_index(self.window)
        self.mask = None
        if shift:
            differ = region.unsqueeze(1) != region.unsqueeze(2)
            self.mask = (differ.float() * -100.0).to(dtype)


class FastSwin:
    def __init__(self, model, dtype=torch.bfloat16):
        self.model = model
        self.dtype = dtype
        self.plans = {}

    def plan(self, side, shifted):
        key = (side, shifted)
        if key not in self.plans:
            self.plans[key] = Plan(side, shifted, self.dtype)
        return self.plans[key]

    def cast(self, p):
        return p.to(self.dtype)

    def linear(self, x, layer):
        bias = None if layer.bias is None else self.cast(layer.bias)
        return F.linear(x, self.cast(layer.weight), bias)

    def norm(self, x, layer):
        return F.layer_norm(x, layer.normalized_shape, self.cast(layer.weight),
                            self.cast(layer.bias), layer.eps)

    def attention(self, x, block, plan, heads):
        b, n, c = x.shape
        m = plan.window * plan.window
        own = block.attention.self
        weight = torch.cat([own.query.weight, own.key.weight, own.value.weight])
        bias = torch.cat([own.query.bias, own.key.bias, own.value.bias])
        x = Gather.apply(x, plan.order, plan.inverse)
        qkv = F.linear(x, self.cast(weight), self.cast(bias))
        qkv = qkv.view(b * n // m, m, 3, heads, c // heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        table = own.relative_position_bias_table[plan.index].view(m, m, heads).permute(2, 0, 1)
        extra = self.cast(table).unsqueeze(0)
        if plan.mask is not None:
            extra = extra + plan.mask.unsqueeze(1)
        score = torch.matmul(q * (c // heads) ** -0.5, k.transpose(-2, -1))
        score = score.view(b, n // m, heads, m, m) + extra
        share = score.view(-1, heads, m, m).softmax(-1)
        out = torch.matmul(share, v).transpose(1, 2).reshape(b, n, c)
        out = self.linear(out, block.attention.output.dense)
        return Gather.apply(out, plan.inverse, plan.order)

    def __call__(self, x):
        swin = self.model.swin
        training = self.model.training
        patch = swin.embeddings.patch_embeddings.projection
        b = x.shape[0]
        side = x.shape[2] // 4
        x = x.to(self.dtype).view(b, 3, side, 4, side, 4).permute(0, 2, 4, 1, 3, 5)
        x = x.reshape(b, side * side, 48)
        x = F.linear(x, self.cast(patch.weight.view(patch.weight.shape[0], 48)),
                     self.cast(patch.bias))
        x = self.norm(x, swin.embeddings.norm)
        for stage, heads in zip(swin.encoder.layers, self.model.config.num_heads):
            for i, block in enumerate(stage.blocks):
                y = self.attention(self.norm(x, block.layernorm_before), block,
                                   self.plan(side, i % 2 == 1), heads)
                drop = getattr(block.drop_path, "drop_prob", 0.0) or 0.0
                if training and drop > 0.0:
                    keep = (torch.rand(b, 1, 1) >= drop).to(self.dtype) / (1.0 - drop)
                    y = y * keep
                x = x + y
                y = self.norm(x, block.layernorm_after)
                y = F.gelu(self.linear(y, block.intermediate.dense))
                x = x + self.linear(y, block.output.dense)
            if stage.downsample is not None:
                c = x.shape[2]
                x = x.view(b, side, side, c)
                if side % 2:
                    x = F.pad(x, (0, 0, 0, 1, 0, 1))
                    side += 1
                side //= 2
                x = x.view(b, side, 2, side, 2, c).permute(0, 1, 3, 4, 2, 5)
                x = x.reshape(b, side * side, 4 * c)
                x = self.linear(self.norm(x, stage.downsample.norm), stage.downsample.reduction)
        x = self.norm(x, swin.layernorm).float().mean(1)
        return F.linear(x, self.model.classifier.weight, self.model.classifier.bias)
