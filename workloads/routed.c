/* workloads/routed.c */
#include "workloads/routed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A request's decisions in one layer. */
typedef struct decisions {
  uint16_t *experts;  /* [n,k] */
  size_t n, capacity; /* tokens */
} decisions;

typedef struct request {
  char *name;
  size_t n_prompt;
  decisions *layers; /* [n_layers] by the layers' order of coming; fewer than all may be there */
  size_t n_layers;
} request;

struct mb_routed {
  size_t n_experts_said, n_experts, top_k;
  request *requests;
  size_t n_requests, requests_capacity;
  size_t *table; /* [table_size] indices of requests + 1 by name; 0: free. A power of two */
  size_t table_size;
  int32_t layer_ids[MB_ROUTED_LAYERS_MAX];  /* in the order of coming; ascending once complete */
  size_t layer_slots[MB_ROUTED_LAYERS_MAX]; /* [L] once complete: where requests have the layer */
  size_t n_layers;
  size_t layer_last; /* the one asked for last, which mostly is asked for again */
};

static mb_status fail_memory(void) {
  return MB_FAIL(MB_ERR_MEMORY, "no memory for the routing decisions of all requests");
}

mb_status mb_routed_create(size_t n_experts, mb_routed **routed) {
  mb_routed *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return fail_memory();
  }
  made->n_experts_said = n_experts;
  *routed = made;
  return MB_OK;
}

mb_status mb_routed_set_experts(mb_routed *routed, size_t n_experts) {
  if ((routed->n_experts_said != 0 && routed->n_experts_said != n_experts) ||
      routed->n_experts > n_experts) {
    return MB_FAIL(MB_ERR_SHAPE, "there should be %zu experts, not %zu",
                   routed->n_experts_said != 0 ? routed->n_experts_said : routed->n_experts,
                   n_experts);
  }
  routed->n_experts_said = n_experts;
  return MB_OK;
}

void mb_routed_destroy(mb_routed *routed) {
  if (routed == NULL) {
    return;
  }
  for (size_t i = 0; i < routed->n_requests; i++) {
    request *r = &routed->requests[i];
    for (size_t l = 0; l < r->n_layers; l++) {
      free(r->layers[l].experts);
    }
    free(r->layers);
    free(r->name);
  }
  free(routed->requests);
  free(routed->table);
  free(routed);
}

/* --- requests by name */

/* Where the name is, or would be. */
static size_t *table_at(const mb_routed *routed, const char *name) {
  size_t mask = routed->table_size - 1;
  size_t i = (size_t)XXH3_64bits(name, strlen(name)) & mask;

  while (routed->table[i] != 0 && strcmp(routed->requests[routed->table[i] - 1].name, name) != 0) {
    i = (i + 1) & mask;
  }
  return &routed->table[i];
}

/* At least half of the table stays free. */
static mb_status table_grow(mb_routed *routed) {
  size_t size = routed->table_size == 0 ? 64 : 2 * routed->table_size;
  size_t *made = calloc(size, sizeof *made);

  if (made == NULL) {
    return fail_memory();
  }
  free(routed->table);
  routed->table = made;
  routed->table_size = size;
  for (size_t i = 0; i < routed->n_requests; i++) {
    *table_at(routed, routed->requests[i].name) = i + 1;
  }
  return MB_OK;
}

static mb_status requests_grow(mb_routed *routed) {
  size_t capacity = routed->requests_capacity == 0 ? 64 : 2 * routed->requests_capacity;
  request *grown = realloc(routed->requests, capacity * sizeof *grown);

  if (grown == NULL) {
    return fail_memory();
  }
  routed->requests = grown;
  routed->requests_capacity = capacity;
  return MB_OK;
}

mb_status mb_routed_request(mb_routed *routed, const char *name, size_t *found) {
  if (2 * (routed->n_requests + 1) > routed->table_size) {
    MB_TRY(table_grow(routed));
  }
  size_t *at = table_at(routed, name);
  if (*at == 0) {
    if (routed->n_requests == routed->requests_capacity) {
      MB_TRY(requests_grow(routed));
    }
    char *copy = strdup(name);
    if (copy == NULL) {
      return fail_memory();
    }
    routed->requests[routed->n_requests++] = (request){.name = copy};
    *at = routed->n_requests;
  }
  *found = *at - 1;
  return MB_OK;
}

void mb_routed_set_prompt(mb_routed *routed, size_t r, size_t n_prompt) {
  assert(r < routed->n_requests);
  routed->requests[r].n_prompt = n_prompt;
}

/* --- layers by number */

size_t mb_routed_layer(const mb_routed *routed, int64_t layer) {
  size_t slot = routed->layer_last;

  if (slot < routed->n_layers && routed->layer_ids[slot] == layer) {
    return slot;
  }
  for (slot = 0; slot < routed->n_layers && routed->layer_ids[slot] != layer; slot++) {
  }
  return slot;
}

static mb_status layer_get(mb_routed *routed, int64_t layer, size_t *slot) {
  size_t found = mb_routed_layer(routed, layer);

  if (found == routed->n_layers) {
    if (layer < 0 || layer > INT32_MAX) {
      return MB_FAIL(MB_ERR_RANGE, "layer %" PRId64 " should be 0 to %d", layer, INT32_MAX);
    }
    if (found == MB_ROUTED_LAYERS_MAX) {
      return MB_FAIL(MB_ERR_SHAPE, "more than %d layers", MB_ROUTED_LAYERS_MAX);
    }
    routed->layer_ids[routed->n_layers++] = (int32_t)layer;
  }
  routed->layer_last = found;
  *slot = found;
  return MB_OK;
}

size_t mb_routed_n_tokens(const mb_routed *routed, size_t r, int64_t layer) {
  size_t slot = mb_routed_layer(routed, layer);

  return slot < routed->requests[r].n_layers ? routed->requests[r].layers[slot].n : 0;
}

/* --- decisions */

static mb_status request_layer(const mb_routed *routed, request *r, size_t slot, decisions **out) {
  if (slot >= r->n_layers) {
    /* Mostly all requests have all layers. */
    size_t n = routed->n_layers;
    decisions *grown = realloc(r->layers, n * sizeof *grown);
    if (grown == NULL) {
      return fail_memory();
    }
    memset(grown + r->n_layers, 0, (n - r->n_layers) * sizeof *grown);
    r->layers = grown;
    r->n_layers = n;
  }
  *out = &r->layers[slot];
  return MB_OK;
}

static mb_status decisions_grow(decisions *d, size_t k) {
  size_t capacity = d->capacity == 0 ? 1 : 2 * d->capacity;
  uint16_t *grown = realloc(d->experts, capacity * k * sizeof *grown);

  if (grown == NULL) {
    return fail_memory();
  }
  d->experts = grown;
  d->capacity = capacity;
  return MB_OK;
}

static mb_status check_experts(const mb_routed *routed, size_t k, const int64_t *experts) {
  int64_t n = routed->n_experts_said != 0 ? (int64_t)routed->n_experts_said
                                          : (int64_t)MB_ROUTED_EXPERTS_MAX;

  if (k == 0 || k > MB_ROUTED_TOP_K_MAX) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu experts are chosen, and should be 1 to %d", k,
                   MB_ROUTED_TOP_K_MAX);
  }
  if (routed->top_k != 0 && k != routed->top_k) {
    return MB_FAIL(MB_ERR_SHAPE, "%zu experts are chosen, and should be %zu, as before", k,
                   routed->top_k);
  }
  for (size_t i = 0; i < k; i++) {
    if (experts[i] < 0 || experts[i] >= n) {
      return MB_FAIL(MB_ERR_RANGE, "expert %" PRId64 " is chosen, and should be 0 to %" PRId64,
                     experts[i], n - 1);
    }
    for (size_t j = 0; j < i; j++) {
      if (experts[j] == experts[i]) {
        return MB_FAIL(MB_ERR_RANGE, "expert %" PRId64 " is chosen twice, and should be once",
                       experts[i]);
      }
    }
  }
  return MB_OK;
}

mb_status mb_routed_append(mb_routed *routed, size_t r, int64_t layer, size_t k,
                           const int64_t *experts) {
  size_t slot = 0;
  decisions *d = NULL;

  assert(r < routed->n_requests);
  MB_TRY(check_experts(routed, k, experts));
  MB_TRY(layer_get(routed, layer, &slot));
  MB_TRY(request_layer(routed, &routed->requests[r], slot, &d));
  if (d->n == d->capacity) {
    MB_TRY(decisions_grow(d, k));
  }
  for (size_t i = 0; i < k; i++) {
    d->experts[d->n * k + i] = (uint16_t)experts[i];
    routed->n_experts =
        (size_t)experts[i] >= routed->n_experts ? (size_t)experts[i] + 1 : routed->n_experts;
  }
  d->n++;
  routed->top_k = k;
  return MB_OK;
}

/* --- the whole */

static void sort_layers(mb_routed *routed) {
  for (size_t i = 0; i < routed->n_layers; i++) {
    int32_t id = routed->layer_ids[i];
    size_t at = i;
    for (; at > 0 && routed->layer_ids[at - 1] > id; at--) {
      routed->layer_ids[at] = routed->layer_ids[at - 1];
      routed->layer_slots[at] = routed->layer_slots[at - 1];
    }
    routed->layer_ids[at] = id;
    routed->layer_slots[at] = i;
  }
}

static size_t tokens_at(const request *r, size_t slot) {
  return slot < r->n_layers ? r->layers[slot].n : 0;
}

static mb_status check_request(const mb_routed *routed, const request *r, const char *where) {
  size_t n = tokens_at(r, routed->layer_slots[0]);

  for (size_t l = 1; l < routed->n_layers; l++) {
    size_t here = tokens_at(r, routed->layer_slots[l]);
    if (here != n) {
      return MB_FAIL(MB_ERR_FORMAT,
                     "%s: request %s has %zu tokens in layer %" PRId32 " and %zu in layer %" PRId32
                     ", and should have all its tokens in all layers",
                     where, r->name, n, routed->layer_ids[0], here, routed->layer_ids[l]);
    }
  }
  return MB_OK;
}

mb_status mb_routed_complete(mb_routed *routed, const char *where, mb_routed_view *view) {
  uint64_t n_tokens = 0;

  if (routed->n_requests == 0 || routed->n_layers == 0) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: has no routing decision, and should have one a token, layer",
                   where);
  }
  sort_layers(routed);
  for (size_t i = 0; i < routed->n_requests; i++) {
    MB_TRY(check_request(routed, &routed->requests[i], where));
    n_tokens += tokens_at(&routed->requests[i], 0);
  }
  *view = (mb_routed_view){
      .n_requests = routed->n_requests,
      .n_layers = routed->n_layers,
      .n_experts = routed->n_experts_said != 0 ? routed->n_experts_said : routed->n_experts,
      .top_k = routed->top_k,
      .knows_experts = routed->n_experts_said != 0,
      .n_tokens = n_tokens,
      .layer_ids = routed->layer_ids,
      .routed = routed,
  };
  return MB_OK;
}

const char *mb_routed_name(const mb_routed_view *view, size_t r) {
  return view->routed->requests[r].name;
}

size_t mb_routed_length(const mb_routed_view *view, size_t r) {
  return tokens_at(&view->routed->requests[r], 0);
}

size_t mb_routed_prompt(const mb_routed_view *view, size_t r) {
  return view->routed->requests[r].n_prompt;
}

const uint16_t *mb_routed_experts(const mb_routed_view *view, size_t r, size_t l, size_t first) {
  const decisions *d = &view->routed->requests[r].layers[view->routed->layer_slots[l]];

  assert(first < d->n);
  return d->experts + first * view->top_k;
}

void mb_routed_count(const mb_routed_view *view, size_t r, size_t first, size_t n, size_t n_sources,
                     size_t source, uint64_t *load) {
  if (n == 0) {
    return;
  }
  for (size_t l = 0; l < view->n_layers; l++) {
    const uint16_t *experts = mb_routed_experts(view, r, l, first);
    uint64_t *counts = load + (l * n_sources + source) * view->n_experts;
    for (size_t i = 0; i < n * view->top_k; i++) {
      counts[experts[i]]++;
    }
  }
}

void mb_routed_note_experts(const mb_routed_view *view, mb_import *import) {
  if (!view->knows_experts) {
    mb_import_note(import,
                   "%zu experts: the highest that was chosen is %zu; --model says it better",
                   view->n_experts, view->n_experts - 1);
  }
}
