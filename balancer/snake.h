/* balancer/snake.h - internal: sorted items dealt to the packs in zigzag rows. */
#ifndef MB_BALANCER_SNAKE_H
#define MB_BALANCER_SNAKE_H

#include "balancer/pack.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Not listed in strategies.def, as it starts from no packing: planners pack by it. */
extern const mb_refinement_type mb_packing_snake;

#ifdef __cplusplus
}
#endif

#endif
