/* sim/dispatch.c - the table of dispatch models, and one at work. */
#include "sim/dispatch.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MB_DISPATCH(name) extern const mb_dispatch_type mb_dispatch_##name;
#include "sim/dispatches.def"
#undef MB_DISPATCH

struct mb_dispatcher {
  const mb_dispatch_type *type;
  mb_shape shape;
  mb_dispatch_options options; /* a state may borrow these */
  mb_dispatch_origin origin;
  void *state;
  mb_dispatch_placement *placement; /* [L] */
};

const char *const mb_dispatch_words[] = {
#define MB_DISPATCH(name) #name,
#include "sim/dispatches.def"
#undef MB_DISPATCH
    NULL};

const mb_dispatch_type *const *mb_dispatch_types(void) {
  static const mb_dispatch_type *const types[] = {
#define MB_DISPATCH(name) &mb_dispatch_##name,
#include "sim/dispatches.def"
#undef MB_DISPATCH
      NULL};

  return types;
}

const mb_dispatch_type *mb_dispatch_find(const char *name) {
  for (const mb_dispatch_type *const *type = mb_dispatch_types(); *type != NULL; type++) {
    if (strcmp((*type)->name, name) == 0) {
      return *type;
    }
  }
  return NULL;
}

/* The model of the options, or NULL. */
static const mb_dispatch_type *type_of(const mb_dispatch_options *options) {
  return options != NULL ? mb_dispatch_find(options->dispatch) : &mb_dispatch_even;
}

bool mb_dispatch_uses_sources(const mb_dispatch_options *options) {
  const mb_dispatch_type *type = type_of(options);

  return type != NULL && type->uses_sources && (!type->lags || options->dispatch_lag > 0);
}

mb_status mb_dispatcher_create(const mb_shape *shape, const mb_dispatch_options *options,
                               mb_dispatcher **dispatcher) {
  return mb_dispatcher_create_for(shape, options, NULL, dispatcher);
}

mb_status mb_dispatcher_create_for(const mb_shape *shape, const mb_dispatch_options *options,
                                   const mb_dispatch_origin *origin, mb_dispatcher **dispatcher) {
  const mb_dispatch_type *type = type_of(options);

  if (type == NULL) {
    return MB_FAIL(MB_ERR_PARAM, "there is no dispatch '%.64s'", options->dispatch);
  }
  mb_dispatcher *made = calloc(1, sizeof *made);
  if (made != NULL) {
    made->type = type;
    made->shape = *shape;
    made->origin = origin != NULL ? *origin : (mb_dispatch_origin){0};
    made->options = options != NULL ? *options : (mb_dispatch_options){.dispatch = "even"};
    made->placement = calloc(shape->n_layers, sizeof *made->placement);
  }
  if (made == NULL || made->placement == NULL) {
    free(made);
    return MB_FAIL(MB_ERR_MEMORY, "no memory to dispatch over %zu slots", shape->n_slots);
  }
  mb_status status = type->create != NULL
                         ? type->create(&made->shape, &made->options, &made->origin, &made->state)
                         : MB_OK;
  if (status != MB_OK) {
    free(made->placement);
    free(made);
    return status;
  }
  *dispatcher = made;
  return MB_OK;
}

void mb_dispatcher_destroy(mb_dispatcher *dispatcher) {
  if (dispatcher == NULL) {
    return;
  }
  if (dispatcher->type->destroy != NULL) {
    dispatcher->type->destroy(dispatcher->state);
  }
  free(dispatcher->placement);
  free(dispatcher);
}

bool mb_dispatcher_is_even(const mb_dispatcher *dispatcher) {
  return dispatcher->type == &mb_dispatch_even;
}

double mb_dispatcher_layer_us(const mb_dispatcher *dispatcher) {
  return dispatcher->type->lags && dispatcher->options.dispatch_lag > 0
             ? 0.0
             : dispatcher->type->layer_us;
}

void mb_dispatcher_place(mb_dispatcher *dispatcher, size_t layer,
                         const mb_dispatch_placement *placement) {
  dispatcher->placement[layer] = *placement;
  if (dispatcher->type->place != NULL) {
    dispatcher->type->place(dispatcher->state, layer, placement);
  }
}

void mb_dispatcher_split(mb_dispatcher *dispatcher, size_t layer, const mb_dispatch_load *load,
                         double *slot_load) {
  assert((load->by_source != NULL) == (dispatcher->origin.n_sources > 0));
  dispatcher->type->split(dispatcher->state, &dispatcher->shape, layer,
                          &dispatcher->placement[layer], load, slot_load);
}
