/* A flat material as a camera sees it: pose in the plane, tilt, and the lamp over it. */
#ifndef CYGNET_TRAIN_SURFACE_H
#define CYGNET_TRAIN_SURFACE_H

#include "noise.h"

struct surface {
    float cos_a, sin_a, scale, off_x, off_y;
    float tilt_x, tilt_y; /* perspective division: 1 + tilt . (u, v) */
    float lamp_u, lamp_v, lamp_fall;
    vec3 lamp, ambient;
    float light_x, light_y; /* the lamp's direction in the material's own axes, for relief */
};

void surface_prepare(struct surface *s, struct rng *r, float scale_lo, float scale_hi);
void surface_map(struct surface const *s, float u, float v, float *x, float *y);
vec3 surface_light(struct surface const *s, float u, float v);

/* Colours that several materials share, so that colour alone does not give a class away. */
vec3 shared_colour(struct rng *r);

#endif
