# Thin front: everything real is in meson.build and scripts/.
BUILD := build
NINJA = ninja -C $(BUILD)

.PHONY: all setup demo test sanitize bench lint clean

all: $(BUILD)/build.ninja
	$(NINJA) cygnet

$(BUILD)/build.ninja:
	scripts/setup
	meson setup $(BUILD)

setup:
	scripts/setup

# Builds, renders the pictures, quantises the committed model, evaluates it and shows what came out.
demo: all
	$(NINJA) train/scenes
	scripts/demo $(BUILD)

test: $(BUILD)/build.ninja
	scripts/test $(BUILD)

# The tests again, under the address and undefined-behaviour sanitizers.
sanitize:
	scripts/setup
	scripts/test build-sanitize -Db_sanitize=address,undefined -Db_lundef=false -Dbuildtype=debugoptimized -Db_ndebug=false

bench: all
	$(NINJA)
	bench/run $(BUILD)

lint:
	scripts/lint

clean:
	rm -rf $(BUILD) build-*
