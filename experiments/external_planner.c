/* experiments/external_planner.c */
#include "experiments/external_planner.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "experiments/child.h"
#include "experiments/config_schema.h"
#include "sim/clock.h"
#include "workloads/map.h"
#include "workloads/npy_write.h"

enum { FOLDER_SIZE = 1024, PATH_SIZE = FOLDER_SIZE + 32, NAME_SIZE = 320 };

static const mb_param params_table[] = {
    {.key = "command",
     .type = MB_PARAM_TEXT,
     .unit = "",
     .help = "a shell command that starts the planner (`moebal help planners`)",
     .offset = offsetof(mb_command_params, command)},
    {.key = "timeout",
     .type = MB_PARAM_REAL,
     .unit = "s",
     .initial = "60",
     .min = 1e-3,
     .max = 1e6,
     .help = "longest time for a plan",
     .offset = offsetof(mb_command_params, timeout)},
    {.key = "start_timeout",
     .type = MB_PARAM_REAL,
     .unit = "s",
     .initial = "60",
     .min = 1e-3,
     .max = 1e6,
     .help = "longest time until the program is ready; no part of its planning time",
     .offset = offsetof(mb_command_params, start_timeout)},
    {.key = "slices",
     .type = MB_PARAM_INT,
     .unit = "slices",
     .initial = "1",
     .min = 1,
     .max = 4096,
     .help = "into how many slices of time the window's loads are added up",
     .offset = offsetof(mb_command_params, slices)},
    {.key = "folder",
     .type = MB_PARAM_TEXT,
     .unit = MB_CONFIG_PATH_UNIT,
     .initial = "",
     .help = "where the command runs; default: the config's folder",
     .offset = offsetof(mb_command_params, folder)},
    {0}};

void mb_external_planner_help(FILE *stream) {
  (void)fputs(
      "A strategy with `use: command` is planned by a program of your own. moebal starts it once, "
      "by\n`sh -c COMMAND`, and writes lines to its standard input; it answers each with a line on "
      "its\nstandard output, and flushes it. Arrays go through files that numpy reads and writes.\n"
      "\n"
      "  moebal                                                   the program\n"
      "  moebal-planner 1 layers=L experts=E slots=P groups=G nodes=N gpus=D\n"
      "                                                           ready\n"
      "  plan STEP LOADS.npy CURRENT.npy OUT.npy                  done\n"
      "\n"
      "  LOADS.npy    float64 [S,L,E]: tokens of the S slices of the window, oldest first\n"
      "  CURRENT.npy  int32 [L,P]: the placement in force, the expert of each slot\n"
      "  OUT.npy      whole numbers [L,P], written by the program before it says `done`\n"
      "\n"
      "There is a line `plan` for each plan, and at the end standard input ends: so should the "
      "program.\nSlot p is on GPU p / (P/D), that GPU on node gpu / (D/N). Names of files have no "
      "spaces. What the\nprogram has to tell people goes to standard error: if it fails, the last "
      "line of that is shown.\nA plan's time is from the request to the answer, with the files; "
      "the "
      "time until `ready` is shown\napart. A program that is not ready within start_timeout, has "
      "no "
      "plan within timeout, ends, or\nleaves an expert without a slot ends the run. Results are as "
      "deterministic as the program is.\n"
      "\n"
      "For a Python function there is an adapter, planner.py, in experiments/adapters of the "
      "sources and\nin share/moebal/adapters where moebal is installed:\n"
      "\n"
      "  - rival: {use: command, command: python3 planner.py rival, folder: DIRECTORY, timeout: "
      "10}\n",
      stream);
}

typedef struct external_state {
  bool well; /* nothing has failed yet: it may end in peace */
  mb_child child;
  mb_shape shape;
  int32_t *layer_ids; /* [L] 0, 1, ...: a planner knows no others */
  char folder[FOLDER_SIZE];
  char loads[PATH_SIZE], current[PATH_SIZE], out[PATH_SIZE];
} external_state;

/* --- the folder for the arrays --- */

static mb_status make_folder(external_state *s) {
  const char *root = getenv("TMPDIR");

  /* The lines of the protocol are split at spaces. */
  if (root == NULL || root[0] == '\0' || strlen(root) > FOLDER_SIZE / 2 ||
      root[strcspn(root, " \t\r\n")] != '\0') {
    root = "/tmp";
  }
  (void)snprintf(s->folder, sizeof s->folder, "%s/moebal-planner-XXXXXX", root);
  if (mkdtemp(s->folder) == NULL) {
    int why = errno;
    s->folder[0] = '\0';
    return MB_FAIL(MB_ERR_IO, "%s: no folder for a planner's arrays: %s", root, strerror(why));
  }
  (void)snprintf(s->loads, sizeof s->loads, "%s/loads.npy", s->folder);
  (void)snprintf(s->current, sizeof s->current, "%s/current.npy", s->folder);
  (void)snprintf(s->out, sizeof s->out, "%s/out.npy", s->folder);
  return MB_OK;
}

/* With whatever the program may have left in it, but for folders of its own. */
static void remove_folder(external_state *s) {
  DIR *folder = s->folder[0] != '\0' ? opendir(s->folder) : NULL;

  if (folder == NULL) {
    return;
  }
  for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      (void)unlinkat(dirfd(folder), entry->d_name, 0);
    }
  }
  (void)closedir(folder);
  (void)rmdir(s->folder);
  s->folder[0] = '\0';
}

/* --- the program --- */

static void external_fini(void *state) {
  external_state *s = state;

  mb_child_stop(&s->child, s->well);
  remove_folder(s);
  free(s->layer_ids);
  s->layer_ids = NULL;
}

/* Asks, and refuses every answer but that word. */
static mb_status ask(external_state *s, const char *request, double timeout, const char *word) {
  char answer[MB_CHILD_LINE_SIZE];

  MB_TRY(mb_child_ask(&s->child, request, timeout, answer));
  if (strcmp(answer, word) != 0) {
    return MB_FAIL(MB_ERR_IO,
                   "`%.256s` said '%.128s'; should be '%s' (what it tells people goes to standard "
                   "error)",
                   s->child.command, answer, word);
  }
  return MB_OK;
}

static mb_status greet(external_state *s, const mb_command_params *params) {
  const mb_shape *shape = &s->shape;
  char hello[MB_CHILD_LINE_SIZE];
  double start = mb_clock_seconds();

  (void)snprintf(
      hello, sizeof hello,
      "moebal-planner 1 layers=%zu experts=%zu slots=%zu groups=%zu nodes=%zu gpus=%zu\n",
      shape->n_layers, shape->n_experts, shape->n_slots, shape->n_groups, shape->n_nodes,
      shape->n_gpus);
  MB_TRY(mb_child_start(params->command, params->folder != NULL ? params->folder : ".", &s->child));
  mb_status status = ask(s, hello, params->start_timeout, "ready");
  if (status != MB_OK && status != MB_ERR_CANCELLED) {
    return MB_FAIL(status, "before it was ready (`moebal help planners`): %s", mb_error_message());
  }
  MB_TRY(status);
  if (params->startup_seconds != NULL) {
    *params->startup_seconds = mb_clock_seconds() - start;
  }
  return MB_OK;
}

static size_t external_slices(const void *params) {
  return (size_t)((const mb_command_params *)params)->slices;
}

static mb_status external_init(void *state, const mb_shape *shape, const void *params,
                               const mb_backend *backend) {
  external_state *s = state;

  (void)backend;
  s->shape = *shape;
  s->layer_ids = calloc(shape->n_layers, sizeof *s->layer_ids);
  if (s->layer_ids == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "no memory for %zu layers", shape->n_layers);
  }
  for (size_t l = 0; l < shape->n_layers; l++) {
    s->layer_ids[l] = (int32_t)l;
  }
  mb_status status = make_folder(s);
  status = status == MB_OK ? greet(s, params) : status;
  s->well = status == MB_OK;
  if (status != MB_OK) {
    external_fini(s);
  }
  return status;
}

/* --- a plan --- */

static mb_status write_array(const char *path, mb_dtype dtype, size_t rank, const uint64_t *dims,
                             const void *values) {
  size_t n = 1;
  FILE *stream = fopen(path, "wb");

  if (stream == NULL) {
    return MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
  }
  for (size_t i = 0; i < rank; i++) {
    n *= (size_t)dims[i];
  }
  mb_npy_write_header(stream, dtype, rank, dims);
  mb_npy_write_values(stream, dtype, n, values);
  bool failed = fflush(stream) != 0 || ferror(stream) != 0;
  int why = errno;
  failed = fclose(stream) != 0 || failed;
  return failed ? MB_FAIL(MB_ERR_IO, "%s: cannot be written: %s", path, strerror(why)) : MB_OK;
}

static mb_status write_input(const external_state *s, const mb_plan_input *input) {
  const uint64_t loads[] = {input->n_slices, s->shape.n_layers, s->shape.n_experts};
  const uint64_t current[] = {s->shape.n_layers, s->shape.n_slots};

  MB_TRY(write_array(s->loads, MB_DTYPE_F64, 3, loads, input->load));
  return write_array(s->current, MB_DTYPE_I32, 2, current, input->physical_to_logical_map);
}

/* What the program wrote, under a name that says whose it is. */
static mb_status read_map(const external_state *s, mb_map *map) {
  const mb_map_format *npy = mb_map_format_find("npy");
  char name[NAME_SIZE];
  mb_input input;

  (void)snprintf(name, sizeof name, "the map of `%.256s`", s->child.command);
  if (mb_input_open(s->out, &input) != MB_OK) {
    return MB_FAIL(MB_ERR_IO, "`%.256s` said 'done', but wrote no OUT.npy", s->child.command);
  }
  input.path = name;
  mb_status status = npy->read(&input, map);
  if (status == MB_OK && map->n_maps != 1) {
    status = MB_FAIL(MB_ERR_FORMAT, "%s: has %zu placements; should be one, [%zu, %zu]", name,
                     map->n_maps, s->shape.n_layers, s->shape.n_slots);
    mb_map_fini(map);
  }
  mb_input_close(&input);
  return status;
}

static mb_status take_map(const external_state *s, mb_plan_output *output) {
  char name[NAME_SIZE];
  mb_map map = {0};

  MB_TRY(read_map(s, &map));
  (void)snprintf(name, sizeof name, "the map of `%.256s`", s->child.command);
  mb_status status =
      mb_map_fit(&map, name, &s->shape, s->layer_ids, output->physical_to_logical_map);
  mb_map_fini(&map);
  for (size_t l = 0; l < s->shape.n_layers && status == MB_OK; l++) {
    output->replaced[l] = true;
  }
  return status;
}

static mb_status make_plan(external_state *s, const mb_command_params *params,
                           const mb_plan_input *input, mb_plan_output *output) {
  char request[MB_CHILD_LINE_SIZE];

  MB_TRY(write_input(s, input));
  (void)unlink(s->out); /* an older answer is none */
  (void)snprintf(request, sizeof request, "plan %zu %s %s %s\n", input->step, s->loads, s->current,
                 s->out);
  MB_TRY(ask(s, request, params->timeout, "done"));
  return take_map(s, output);
}

static mb_status external_plan(void *state, const void *params, const mb_plan_input *input,
                               mb_plan_output *output) {
  external_state *s = state;
  mb_status status = make_plan(s, params, input, output);

  s->well = s->well && status == MB_OK;
  return status;
}

static const mb_planner_type external_planner = {
    .name = "command",
    .summary = "a program of your own, asked for each plan",
    .params = params_table,
    .params_size = sizeof(mb_command_params),
    .state_size = sizeof(external_state),
    .n_slices = external_slices,
    .init = external_init,
    .plan = external_plan,
    .fini = external_fini,
};

const mb_strategy mb_strategy_command = {
    .name = "command",
    .summary = "a program of your own plans: LABEL: {use: command, command: ...}",
    .params = params_table,
    .params_size = sizeof(mb_command_params),
    .planner = &external_planner,
};
