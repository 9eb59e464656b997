/* The sky over landscapes: see sky.c. */
#ifndef CYGNET_TRAIN_SKY_H
#define CYGNET_TRAIN_SKY_H

#include "noise.h"

struct sky {
    vec3 zenith, horizon, glow, sun_colour;
    vec3 sun; /* direction */
    float sun_size, cloud, cloud_scale, stars;
    uint32_t seed;
};

void sky_prepare(struct sky *s, struct rng *r);
vec3 sky_colour(struct sky const *s, vec3 dir, int detail); /* dir of length 1; z is forward */
vec3 star_field(float x, float y, float density, uint32_t seed);

#endif
