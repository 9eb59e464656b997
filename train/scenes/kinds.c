/* The ten kinds, in the byte order of their folders' names: index in this table = class. */
#include "scenes.h"

struct scene_kind const scene_kinds[SCENE_KINDS] = {
    {"marble", marble_prepare, marble_shade},
    {"wood", wood_prepare, wood_shade},
    {"brick", brick_prepare, brick_shade},
    {"fabric", fabric_prepare, fabric_shade},
    {"mountains", mountains_prepare, mountains_shade},
    {"dunes", dunes_prepare, dunes_shade},
    {"ocean", ocean_prepare, ocean_shade},
    {"city", city_prepare, city_shade},
    {"planet", planet_prepare, planet_shade},
    {"spheres", spheres_prepare, spheres_shade},
};
