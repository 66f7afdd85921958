/* experiments/bench_machine.c */
#include "experiments/bench_machine.h"

#include <omp.h>
#include <stdio.h>

#include "cuda/rebalance.h"
#include "moebal_version.h"

mb_bench_machine mb_bench_machine_find(void) {
  mb_bench_machine machine = {
      .cores = (size_t)omp_get_num_procs(),
      .threads = (size_t)omp_get_max_threads(),
      .gpu = "none",
      .version = MOEBAL_VERSION,
      .git = MOEBAL_GIT_VERSION,
      .compiler = mb_provenance_compiler(),
      .build = MB_BUILD,
  };

  mb_cuda_device device;
  if (mb_cuda_device_find(&device) == MB_OK) {
    (void)snprintf(machine.gpu, sizeof machine.gpu, "%s", device.name);
  }
  mb_provenance_cpu(machine.cpu, sizeof machine.cpu);
  (void)mb_provenance_time(machine.time);
  return machine;
}
