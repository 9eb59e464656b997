/* What stands between the camera and the scene: see clutter.c. */
#ifndef CYGNET_TRAIN_CLUTTER_H
#define CYGNET_TRAIN_CLUTTER_H

#include "scenes.h"

enum clutter_kind { CLEAR, BARS, LEAVES, LIGHTS, TORN, DROPS };

struct clutter {
    enum clutter_kind kind;
    float cos_a, sin_a, width, pitch, offset, scale, cover;
    vec3 colour;
    uint32_t seed;
    struct scene_kind const *other; /* TORN: the picture that lies over a part of this one */
    union scene_state other_state;
};

void clutter_prepare(struct clutter *c, struct rng *r, int kind);
vec3 clutter_shade(struct clutter const *c, struct scene_kind const *scene,
                   union scene_state const *state, float u, float v);

#endif
