/* experiments/backend.c */
#include "experiments/backend.h"

#include <stdio.h>
#include <string.h>

#include "cuda/rebalance.h"

const char *const mb_backend_words[] = {"cpu", "cuda", "auto", NULL};

/* Only a rebalancer that has been made shows that there is a GPU, and that the shape fits it. */
static mb_status try_cuda(const mb_shape *shape, mb_cuda_device *device) {
  void *rebalancer = NULL;

  MB_TRY(mb_cuda_device_find(device));
  MB_TRY(mb_backend_cuda.create(shape, &rebalancer));
  mb_backend_cuda.destroy(rebalancer);
  return MB_OK;
}

mb_status mb_backend_choose(const char *word, const mb_shape *shape, mb_backend_choice *choice) {
  mb_backend_choice chosen = {.backend = &mb_backend_cpu, .gpu = "none"};
  mb_cuda_device device;

  if (strcmp(word, "cpu") != 0) {
    mb_status status = try_cuda(shape, &device);
    if (status == MB_OK) {
      chosen.backend = &mb_backend_cuda;
      (void)snprintf(chosen.gpu, sizeof chosen.gpu, "%s", device.name);
    } else if (strcmp(word, "auto") == 0) {
      (void)snprintf(chosen.note, sizeof chosen.note,
                     "backend auto: plans are made on the CPU, because %.400s", mb_error_message());
    } else {
      return MB_FAIL(status, "backend cuda: %.400s", mb_error_message());
    }
  }
  *choice = chosen;
  return MB_OK;
}
