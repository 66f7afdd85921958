/* experiments/provenance.c */
#include "experiments/provenance.h"

#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "experiments/attribute.h"
#include "moebal_version.h"

#if defined(__clang__)
static const char COMPILER[] = "clang " __clang_version__;
#elif defined(__GNUC__)
static const char COMPILER[] = "gcc " __VERSION__;
#else
static const char COMPILER[] = "unknown";
#endif

const char *mb_provenance_compiler(void) {
  return COMPILER;
}

char *mb_provenance_time(char buffer[MB_TIME_SIZE]) {
  time_t now = time(NULL);
  struct tm utc;

  memset(&utc, 0, sizeof utc);
  (void)gmtime_r(&now, &utc);
  (void)strftime(buffer, MB_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return buffer;
}

/* Linux names the processor in /proc/cpuinfo, by different keys; elsewhere its architecture does.
 */
void mb_provenance_cpu(char *cpu, size_t size) {
  char line[512];
  struct utsname system;
  FILE *file = fopen("/proc/cpuinfo", "r");

  (void)snprintf(cpu, size, "%s", uname(&system) >= 0 ? system.machine : "unknown");
  if (file == NULL) {
    return;
  }
  while (fgets(line, sizeof line, file) != NULL) {
    const char *colon = strchr(line, ':');
    if (strncmp(line, "model name", strlen("model name")) == 0 && colon != NULL) {
      (void)snprintf(cpu, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
      break;
    }
  }
  (void)fclose(file);
}

mb_status mb_provenance_write(const mb_provenance *provenance, hid_t group) {
  char cpu[512];
  static const char dirty[] = "-dirty";
  const char *git = MOEBAL_GIT_VERSION;
  size_t length = strlen(git);
  bool is_dirty =
      length >= sizeof dirty - 1 && strcmp(git + length - (sizeof dirty - 1), dirty) == 0;

  mb_provenance_cpu(cpu, sizeof cpu);
  MB_TRY(mb_attribute_put_text(group, "config", provenance->config));
  MB_TRY(mb_attribute_put_text(group, "version", MOEBAL_VERSION));
  MB_TRY(mb_attribute_put_text(group, "git", git));
  MB_TRY(mb_attribute_put_int(group, "dirty", is_dirty));
  MB_TRY(mb_attribute_put_text(group, "compiler", COMPILER));
  MB_TRY(mb_attribute_put_text(group, "cpu", cpu));
  MB_TRY(mb_attribute_put_int(group, "threads", omp_get_max_threads()));
  MB_TRY(mb_attribute_put_text(group, "backend", provenance->backend));
  MB_TRY(mb_attribute_put_text(group, "gpu", provenance->gpu));
  MB_TRY(mb_attribute_put_text(group, "trace", provenance->trace));
  MB_TRY(mb_attribute_put_text(group, "trace_source", provenance->source));
  MB_TRY(mb_attribute_put_text(group, "load_xxh3", provenance->load_xxh3));
  MB_TRY(mb_attribute_put_int(group, "seed", provenance->seed));
  return mb_attribute_put_text(group, "start_time", provenance->start_time);
}
