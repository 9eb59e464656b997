/* What the files of the generator share: the ten kinds of scene, and the picture made of one. */
#ifndef CYGNET_TRAIN_SCENES_H
#define CYGNET_TRAIN_SCENES_H

#include <stddef.h>

#include "noise.h"

/* A kind decides what is in its scene once (prepare), then gives the linear-light colour of any
 * point of the image plane (shade): u to the right and v upwards, the picture spanning -1 .. 1. */
struct scene_kind {
    char const *name;
    void (*prepare)(void *state, struct rng *r);
    vec3 (*shade)(void const *state, float u, float v);
};

enum { SCENE_KINDS = 10 };
enum { STATE_BYTES = 4096 };
extern struct scene_kind const scene_kinds[SCENE_KINDS];

/* Storage fit for the state of any kind. */
union scene_state {
    long double align;
    unsigned char bytes[STATE_BYTES];
};

void marble_prepare(void *state, struct rng *r);
vec3 marble_shade(void const *state, float u, float v);
void wood_prepare(void *state, struct rng *r);
vec3 wood_shade(void const *state, float u, float v);
void brick_prepare(void *state, struct rng *r);
vec3 brick_shade(void const *state, float u, float v);
void fabric_prepare(void *state, struct rng *r);
vec3 fabric_shade(void const *state, float u, float v);
void mountains_prepare(void *state, struct rng *r);
vec3 mountains_shade(void const *state, float u, float v);
void dunes_prepare(void *state, struct rng *r);
vec3 dunes_shade(void const *state, float u, float v);
void ocean_prepare(void *state, struct rng *r);
vec3 ocean_shade(void const *state, float u, float v);
void city_prepare(void *state, struct rng *r);
vec3 city_shade(void const *state, float u, float v);
void planet_prepare(void *state, struct rng *r);
vec3 planet_shade(void const *state, float u, float v);
void spheres_prepare(void *state, struct rng *r);
vec3 spheres_shade(void const *state, float u, float v);

/* One finished picture, size x size x 3 bytes of sRGB-like light; its kind is index % 10. */
int picture_kind(uint64_t index);
int picture_draw(uint64_t seed, uint64_t index, int size, unsigned char *rgb); /* 0: no memory */

#endif
