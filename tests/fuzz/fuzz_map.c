/* tests/fuzz/fuzz_map.c - bytes as a placement map of the format MB_FUZZ_MAP: what is read can be
 * looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "workloads/map.h"

#ifndef MB_FUZZ_MAP
#define MB_FUZZ_MAP map_npy /* for tools that read this file by itself */
#endif
#define JOIN_NAMES(a, b) a##b
#define FORMAT_OF(name) JOIN_NAMES(mb_map_format_, name)

extern const mb_map_format FORMAT_OF(MB_FUZZ_MAP);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file without a name that holds the bytes. */
static int make_file(const uint8_t *data, size_t size) {
  char name[] = "/dev/shm/moebal-fuzz-XXXXXX";
  int file = mkstemp(name);

  if (file < 0 || unlink(name) != 0 || write(file, data, size) != (ssize_t)size) {
    perror(name);
    _exit(EXIT_FAILURE);
  }
  return file;
}

static void look_at(const mb_map *map) {
  volatile int32_t largest = 0;

  for (size_t i = 0; i < map->n_maps * map->n_layers * map->n_slots; i++) {
    largest = map->physical_to_logical_map[i] > largest ? map->physical_to_logical_map[i] : largest;
  }
  for (size_t l = 0; map->layer_ids != NULL && l < map->n_layers; l++) {
    largest = map->layer_ids[l] > largest ? map->layer_ids[l] : largest;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mb_map map = {0};
  mb_input input;

  if (mb_input_open_fd("fuzz", make_file(data, size), &input) != MB_OK) {
    return 0;
  }
  (void)mb_map_format_of(&input);
  if (FORMAT_OF(MB_FUZZ_MAP).read(&input, &map) == MB_OK) {
    look_at(&map);
    mb_map_fini(&map);
  }
  mb_input_close(&input);
  return 0;
}
