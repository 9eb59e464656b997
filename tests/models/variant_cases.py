"""The table of make_variants.py: one row a case. Names of arguments are the libraries' own."""
import contextlib
import dataclasses
import io
import pathlib
import sys
from typing import Any, Callable

import timm
import torch
import transformers
from torchvision.models import VisionTransformer
from torchvision.models import swin_transformer as tv


@dataclasses.dataclass
class Case:
    name: str
    library: str
    config: dict  # for --model_config
    build: Callable[[], torch.nn.Module]
    image: tuple
    channels: int = 3
    form: dict = dataclasses.field(default_factory=dict)  # of the file, see make_variants.save_state
    run: Callable[[Any, Any], Any] = lambda model, x: model(x)


def case(name, library, config, build, image, form, run=None):
    side = (image, image) if isinstance(image, int) else tuple(image)
    for key in ("image_size", "img_size"):  # what the model is run at, if it is not what it is for
        made_for = config.get(key, side)
        if isinstance(made_for, int):
            made_for = (made_for, made_for)
        if tuple(made_for) != side:
            config = {**config, key: side}
    channels = config.get("num_channels", config.get("in_chans", 3))
    more = {} if run is None else {"run": run}
    return Case(name, library, config, build, side, channels, form, **more)


# ---- the four libraries ----

SWIN = dict(embed_dim=16, depths=[2, 2], num_heads=[2, 4])
VIT = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
           patch_size=8)
TIMM_VIT = dict(img_size=32, patch_size=8, embed_dim=24, depth=2, num_heads=3, num_classes=7)


def hf(name, kind, config, image=None, head="ForImageClassification", base=None, run=None, **form):
    """image: what the model is run on, by default image_size."""
    swin = kind.startswith("Swin")
    config = {**(SWIN if swin else VIT), "num_labels": 7, **config} if base is None else config
    library = getattr(transformers, kind + "Config")
    model = getattr(transformers, kind + head)
    return case(f"hf_{name}", "hf", config,
                lambda: model._from_config(library(**config), attn_implementation="eager"),
                image or config["image_size"], form, run)


def timm_model(name, arch, config, image=None, **form):
    """image: where it is not img_size."""
    return case(f"timm_{name}", "timm", {"arch": arch, **config},
                lambda: timm.create_model(arch, pretrained=False, **config),
                image or config["img_size"], form)


def timm_swin(name, config, v2=False, **form):
    arch = "swinv2_tiny_window8_256" if v2 else "swin_tiny_patch4_window7_224"
    return timm_model(name, arch, {**SWIN, "num_classes": 7, **config}, **form)


def timm_vit(name, config, arch="vit_base_patch16_224", image=None, **form):
    return timm_model(name, arch, {**TIMM_VIT, **config}, image, **form)


def tv_swin(name, config, image, v2=False, **form):
    config = {"patch_size": [4, 4], **SWIN, "num_classes": 7, **config}
    parts = dict(block=tv.SwinTransformerBlockV2, downsample_layer=tv.PatchMergingV2) if v2 else {}
    told = {**config, "image_size": image}  # no argument of torchvision's says it
    return case(f"tv_{name}", "torchvision", told, lambda: tv.SwinTransformer(**config, **parts),
                image, form)


def tv_vit(name, config, **form):
    config = {"image_size": 32, "patch_size": 8, "num_layers": 2, "num_heads": 3, "hidden_dim": 24,
              "mlp_dim": 40, "num_classes": 7, **config}
    return case(f"tv_{name}", "torchvision", config, lambda: VisionTransformer(**config),
                config["image_size"], form)


def microsoft(name, config, v2=False, **form):
    config = {**SWIN, "num_classes": 7, **config}

    def build():
        with contextlib.redirect_stdout(io.StringIO()):  # it speaks of a CUDA kernel
            if v2:
                from swin_transformer_v2 import SwinTransformerV2 as model
            else:
                from swin_transformer import SwinTransformer as model
        return model(**config)

    return case(f"ms_{name}", "microsoft", config, build, config["img_size"],
                {"wrap": ("model",), **form})


# ---- the cases ----


def hf_swin():
    yield hf("swin_padded", "Swin", dict(image_size=60, window_size=4))
    yield hf("swin_padded_7", "Swin", dict(image_size=128, window_size=7, depths=[2, 2, 2],
                                           num_heads=[1, 2, 4]))
    yield hf("swin_no_qkv_bias", "Swin", dict(image_size=32, window_size=4, qkv_bias=False))
    yield hf("swin_odd_mlp", "Swin", dict(image_size=32, window_size=4, embed_dim=18, mlp_ratio=2.7,
                                          num_heads=[3, 6]))
    yield hf("swin_window8", "Swin", dict(image_size=64, window_size=8, num_channels=1))
    yield hf("swin_patch2", "Swin", dict(image_size=24, patch_size=2, window_size=3))
    yield hf("swin_cut_patch", "Swin", dict(image_size=62, window_size=4))
    yield hf("swin_oblong", "Swin", dict(image_size=[32, 64], window_size=4))
    yield hf("swin_eps_relu", "Swin", dict(image_size=32, window_size=4, layer_norm_eps=1e-3,
                                           hidden_act="relu"))
    yield hf("swin_quick_gelu", "Swin", dict(image_size=32, window_size=4, hidden_act="quick_gelu"))
    yield hf("swin_base", "Swin", dict(image_size=32, window_size=4), head="Model")
    yield hf("swin_one_stage", "Swin", dict(image_size=32, window_size=4, depths=[3],
                                            num_heads=[2]))
    yield hf("swin_sharded", "Swin", dict(image_size=32, window_size=4),
             files=["model.safetensors.index.json", "pytorch_model.bin.index.json"])
    yield hf("swin_bf16", "Swin", dict(image_size=32, window_size=4), dtype=torch.bfloat16,
             files=["model.safetensors", "pytorch_model.bin"])
    yield hf("swin_two_classes", "Swin", dict(image_size=32, window_size=4, num_labels=2))
    yield hf("swinv2_padded", "Swinv2", dict(image_size=60, window_size=4))
    yield hf("swinv2_cut_patch", "Swinv2", dict(image_size=66, window_size=4))
    yield hf("swinv2_pretrained", "Swinv2", dict(image_size=64, window_size=8,
                                                 pretrained_window_sizes=[12, 6]))
    yield hf("swinv2_small_grid", "Swinv2", dict(image_size=64, window_size=8, depths=[2, 2, 2],
                                                 num_heads=[2, 4, 4]))
    yield hf("swinv2_no_qkv_bias", "Swinv2", dict(image_size=32, window_size=4, qkv_bias=False))
    yield hf("swinv2_window16", "Swinv2", dict(image_size=128, window_size=16, embed_dim=8,
                                               mlp_ratio=3.3))
    yield hf("swinv2_oblong", "Swinv2", dict(image_size=[32, 64], window_size=4))
    yield hf("swinv2_base_f16", "Swinv2", dict(image_size=32, window_size=4), head="Model",
             dtype=torch.float16)


def ms_swin():
    yield microsoft("swin_ape", dict(img_size=32, window_size=4, ape=True))
    yield microsoft("swin_no_patch_norm", dict(img_size=32, window_size=4, patch_norm=False))
    yield microsoft("swin_no_qkv_bias", dict(img_size=32, window_size=4, qkv_bias=False))
    yield microsoft("swin_qk_scale", dict(img_size=32, window_size=4, qk_scale=0.5))
    yield microsoft("swin_small_grid", dict(img_size=64, window_size=8, depths=[2, 2, 2],
                                            num_heads=[2, 4, 4], mlp_ratio=2.5))
    yield microsoft("swin_oblong", dict(img_size=(32, 64), window_size=4, patch_size=4, in_chans=1))
    yield microsoft("swin_training", dict(img_size=32, window_size=4), training=True, prefix="module.")
    yield microsoft("swin_no_head", dict(img_size=32, window_size=4, num_classes=0))
    yield microsoft("swinv2_plain", dict(img_size=64, window_size=8), v2=True)
    yield microsoft("swinv2_pretrained", dict(img_size=64, window_size=8,
                                              pretrained_window_sizes=[6, 4]), v2=True)
    yield microsoft("swinv2_ape", dict(img_size=32, window_size=4, ape=True, patch_norm=False,
                                       qkv_bias=False), v2=True)
    yield microsoft("swinv2_window16", dict(img_size=128, window_size=16, embed_dim=8), v2=True,
                    legacy=True)


def timm_swins():
    for v2 in (False, True):
        v = "swinv2" if v2 else "swin"
        yield timm_swin(f"{v}_padded", dict(img_size=60, window_size=4), v2)
        yield timm_swin(f"{v}_small_grid", dict(img_size=64, window_size=7, depths=[2, 2, 2],
                                                num_heads=[2, 4, 4]), v2)
        yield timm_swin(f"{v}_no_qkv_bias", dict(img_size=32, window_size=4, qkv_bias=False), v2)
        yield timm_swin(f"{v}_oblong", dict(img_size=(32, 72), window_size=(4, 6)), v2)
        yield timm_swin(f"{v}_patch2_f64", dict(img_size=24, patch_size=2, window_size=3,
                                                mlp_ratio=2.7), v2, dtype=torch.float64)
        yield timm_swin(f"{v}_no_classes", dict(img_size=32, window_size=4, num_classes=0), v2)
    yield timm_swin("swin_head_dim", dict(img_size=32, window_size=4, head_dim=6))
    yield timm_swin("swin_window12", dict(img_size=96, window_size=12, in_chans=1))
    yield timm_swin("swin_odd_7", dict(img_size=60, window_size=7))
    yield timm_swin("swinv2_odd_7", dict(img_size=60, window_size=7), True)
    yield timm_swin("swin_always", dict(img_size=60, window_size=8, always_partition=True))
    yield timm_model("swin_s3", "swin_s3_tiny_224",
                     dict(img_size=64, window_size=(4, 4, 8, 2), embed_dim=8, depths=(2, 2, 2, 2),
                          num_heads=(1, 2, 2, 4), num_classes=7))
    yield timm_model("swinv2_12to16", "swinv2_base_window12to16_192to256",
                     dict(embed_dim=8, depths=(2, 1, 1, 2), num_heads=(1, 2, 2, 4), num_classes=7),
                     image=(256, 256))
    yield timm_swin("swinv2_pretrained", dict(img_size=64, window_size=8,
                                              pretrained_window_sizes=(12, 6)), True)
    yield timm_swin("swinv2_window16", dict(img_size=128, window_size=16, embed_dim=8), True)


def tv_swins():
    for v2 in (False, True):
        v = "swinv2" if v2 else "swin"
        yield tv_swin(f"{v}_padded", dict(window_size=[4, 4]), (60, 60), v2)
        yield tv_swin(f"{v}_small_grid", dict(window_size=[7, 7], depths=[2, 2, 2],
                                              num_heads=[2, 4, 4]), (64, 64), v2)
        yield tv_swin(f"{v}_oblong", dict(window_size=[4, 6], mlp_ratio=2.7), (32, 72), v2)
        yield tv_swin(f"{v}_window8", dict(window_size=[8, 8]), (64, 64), v2)
    yield tv_swin("swin_odd", dict(window_size=[3, 3], patch_size=[2, 2]), (27, 26))


def hf_vits():
    yield hf("vit_plain", "ViT", dict(image_size=32))
    yield hf("vit_no_qkv_bias", "ViT", dict(image_size=32, qkv_bias=False, layer_norm_eps=1e-5))
    yield hf("vit_gelu_new", "ViT", dict(image_size=32, hidden_act="gelu_new"))
    yield hf("vit_silu", "ViT", dict(image_size=32, hidden_act="silu", num_channels=1))
    yield hf("vit_quick_gelu", "ViT", dict(image_size=32, hidden_act="quick_gelu"))
    yield hf("vit_oblong", "ViT", dict(image_size=(24, 48)))
    yield hf("vit_patch16", "ViT", dict(image_size=48, patch_size=16))
    yield hf("vit_pooler", "ViT", dict(image_size=32), head="Model")
    yield hf("vit_sharded_bf16", "ViT", dict(image_size=32), dtype=torch.bfloat16,
             files=["pytorch_model.bin.index.json"])
    yield hf("deit_one_head", "DeiT", dict(image_size=32))
    yield hf("deit_pooler", "DeiT", dict(image_size=32), head="Model")
    yield hf("deit_two_heads_f16", "DeiT", dict(image_size=32),
             head="ForImageClassificationWithTeacher", dtype=torch.float16)
    yield hf("beit_relative", "Beit", dict(image_size=32, use_relative_position_bias=True))
    yield hf("beit_shared", "Beit", dict(image_size=32, use_shared_relative_position_bias=True))
    yield hf("beit_absolute", "Beit", dict(image_size=32, use_absolute_position_embeddings=True,
                                           use_mean_pooling=False, layer_scale_init_value=0))
    yield hf("beit_all", "Beit", dict(image_size=32, use_absolute_position_embeddings=True,
                                      use_relative_position_bias=True, use_mask_token=True))
    yield hf("dinov2_plain", "Dinov2", dict(image_size=32, hidden_size=24, num_hidden_layers=2,
                                            num_attention_heads=3, patch_size=8, mlp_ratio=3,
                                            num_labels=7), base=True)
    yield hf("dinov2_swiglu", "Dinov2", dict(image_size=32, hidden_size=24, num_hidden_layers=2,
                                             num_attention_heads=3, patch_size=8, mlp_ratio=4,
                                             use_swiglu_ffn=True, num_labels=7), base=True)
    yield hf("dinov2_no_bias", "Dinov2", dict(image_size=32, hidden_size=24, num_hidden_layers=2,
                                              num_attention_heads=3, patch_size=8, mlp_ratio=4,
                                              qkv_bias=False, hidden_act="gelu_new",
                                              num_labels=7), base=True)
    yield hf("dinov2_larger", "Dinov2", dict(image_size=32, hidden_size=24, num_hidden_layers=2,
                                             num_attention_heads=3, patch_size=8, mlp_ratio=4,
                                             num_labels=7), base=True, image=(48, 72))
    yield hf("dinov2_smaller", "Dinov2", dict(image_size=56, hidden_size=24, num_hidden_layers=2,
                                              num_attention_heads=3, patch_size=8, mlp_ratio=4,
                                              num_labels=7), base=True, image=(24, 24))
    yield hf("vit_larger", "ViT", dict(image_size=32), image=(48, 40),
             run=lambda model, x: model(x, interpolate_pos_encoding=True))
    yield hf("dinov2_base", "Dinov2", dict(image_size=32, hidden_size=24, num_hidden_layers=2,
                                           num_attention_heads=3, patch_size=8, mlp_ratio=4),
             base=True, head="Model")


def timm_vits():
    yield timm_vit("vit_layer_scale", dict(init_values=1e-5))
    yield timm_vit("vit_avg", dict(global_pool="avg"))
    yield timm_vit("vit_avg_no_fc_norm", dict(global_pool="avg", fc_norm=False))
    yield timm_vit("vit_token_fc_norm", dict(fc_norm=True))
    yield timm_vit("vit_no_class_token", dict(class_token=False, global_pool="avg"))
    yield timm_vit("vit_pool_prefix", dict(global_pool="avg", pool_include_prefix=True))
    yield timm_vit("vit_registers", dict(reg_tokens=4, no_embed_class=True, init_values=1e-5))
    yield timm_vit("vit_registers_embedded", dict(reg_tokens=2))
    yield timm_vit("vit_registers_avg", dict(reg_tokens=2, global_pool="avg", class_token=False))
    yield timm_vit("vit_pre_norm", dict(pre_norm=True))
    yield timm_vit("vit_qk_norm", dict(qk_norm=True))
    yield timm_vit("vit_no_qkv_bias", dict(qkv_bias=False))
    yield timm_vit("vit_no_embed_class", dict(no_embed_class=True))
    yield timm_vit("vit_oblong", dict(img_size=(24, 48), in_chans=1))
    yield timm_vit("vit_gelu_tanh", dict(act_layer="gelu_tanh"))
    yield timm_vit("vit_quick_gelu", dict(act_layer="quick_gelu"))
    yield timm_vit("vit_no_classes", dict(num_classes=0))
    yield timm_vit("vit_ema", dict(mlp_ratio=2.7), wrap=("model_ema",), prefix="module.",
                   training=True)
    yield timm_vit("deit_distilled", {}, arch="deit_tiny_distilled_patch16_224", legacy=True)
    yield timm_vit("deit3", {}, arch="deit3_small_patch16_224")
    yield timm_vit("dinov2", {}, arch="vit_small_patch14_dinov2")
    yield timm_vit("dinov2_larger", dict(dynamic_img_size=True), image=(56, 40),
                   arch="vit_small_patch14_dinov2")
    yield timm_vit("vit_smaller", dict(img_size=72, dynamic_img_size=True, reg_tokens=2),
                   image=(24, 40))
    yield timm_vit("dinov2_registers", {}, arch="vit_small_patch14_reg4_dinov2")
    yield timm_vit("dinov2_swiglu", {}, arch="vit_giant_patch14_dinov2")
    yield timm_vit("vit_clip", {}, arch="vit_base_patch16_clip_224")
    yield timm_vit("vit_clip_quickgelu", {}, arch="vit_base_patch32_clip_quickgelu_224")
    yield timm_vit("beit", {}, arch="beit_base_patch16_224")
    yield timm_vit("beit_class_token", dict(global_pool="token", init_values=0.1, qkv_bias=False),
                   arch="beit_base_patch16_224")
    yield timm_vit("beit_shared", dict(use_rel_pos_bias=False, use_shared_rel_pos_bias=True,
                                       use_abs_pos_emb=True), arch="beit_base_patch16_224")


def tv_vits():
    yield tv_vit("vit_plain", {})
    yield tv_vit("vit_patch4", dict(patch_size=4, mlp_dim=51, num_heads=4))
    yield tv_vit("vit_representation", dict(representation_size=20))


def small_cases():
    """Those of tests/models/golden: a few kilobytes each, each with several of the rarer things."""
    form = dict(dtype=torch.float16, files=["model.safetensors"])
    swin = dict(embed_dim=4, depths=[2, 1], num_heads=[1, 2], mlp_ratio=1.5)
    vit = dict(hidden_size=12, num_attention_heads=2, patch_size=4, num_channels=1, num_labels=5)
    yield hf("swin_small", "Swin", dict(image_size=[20, 27], num_channels=1, window_size=3,
                                        qkv_bias=False, layer_norm_eps=1e-4, **swin), **form)
    yield hf("swinv2_small", "Swinv2", dict(image_size=20, num_channels=1, window_size=4, **{
        **swin, "depths": [2], "num_heads": [1]}, pretrained_window_sizes=[6]), **form)
    yield timm_swin("swin_small", dict(img_size=(20, 28), in_chans=1, window_size=3, head_dim=3,
                                       **swin), **form)
    yield tv_swin("swin_small", dict(window_size=[3, 2], **swin), (14, 22), **form)
    yield timm_vit("vit_small", dict(img_size=16, patch_size=4, depth=1, embed_dim=12, in_chans=1,
                                     reg_tokens=2, init_values=0.1, pre_norm=True, qk_norm=True,
                                     act_layer="quick_gelu", global_pool="avg"), **form)
    yield hf("dinov2_small", "Dinov2", dict(image_size=16, num_hidden_layers=1, mlp_ratio=2,
                                            use_swiglu_ffn=True, **vit),
             base=True, image=(20, 12), **form)
    yield microsoft("swin_small", dict(img_size=24, in_chans=1, window_size=3, ape=True,
                                       patch_norm=False, qkv_bias=False, qk_scale=0.4, **swin),
                    **form)


def all_cases(ms_folder, small=False):
    """Without microsoft's where ms_folder is None."""
    if ms_folder:
        sys.path.insert(0, str(pathlib.Path(ms_folder).resolve()))
    cases = [*small_cases()] if small else [*hf_swin(), *timm_swins(), *tv_swins(), *hf_vits(),
                                            *timm_vits(), *tv_vits(), *ms_swin()]
    return [c for c in cases if ms_folder or c.library != "microsoft"]
