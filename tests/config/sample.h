/* The sample of the interface's section 12 in YAML. */
#ifndef CYG_TESTS_CONFIG_SAMPLE_H
#define CYG_TESTS_CONFIG_SAMPLE_H

static const char sample_yaml[] =
    "input: model/swin-t.onnx\n"
    "output_dir: out/swin-t\n"
    "model_type: ONNX\n"
    "target_hardware: AX650\n"
    "npu_mode: NPU1\n"
    "onnx_opt: { model_check: true }\n"
    "quant:\n"
    "  input_configs:\n"
    "    - tensor_name: pixel_values\n"
    "      calibration_dataset: dataset/calib-32.tar\n"
    "      calibration_format: Image\n"
    "      calibration_size: 32\n"
    "      calibration_mean: [123.675, 116.28, 103.53]\n"
    "      calibration_std: [58.395, 57.12, 57.375]\n"
    "  calibration_method: MSE\n"
    "  transformer_opt_level: 1\n"
    "  layer_configs:\n"
    "    - { op_types: [LayerNormalization], data_type: S16 }\n"
    "  precision_analysis: true\n"
    "  precision_analysis_method: EndToEnd\n"
    "input_processors:\n"
    "  - tensor_name: pixel_values\n"
    "    tensor_format: RGB\n"
    "    tensor_layout: NCHW\n"
    "    src_format: RGB\n"
    "    src_layout: NHWC\n"
    "    src_dtype: U8\n"
    "output_processors: [{ tensor_name: DEFAULT, output_dtype: FP32 }]\n"
    "compiler:\n"
    "  check: 2\n"
    "  npu_perf: true # a comment\n";

#endif
