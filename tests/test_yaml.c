/* tests/test_yaml.c - the tree that configs are read from, and what it refuses. */
#include "tests/test.h"

#include <unistd.h>

#include "experiments/yaml.h"

#define PATH "test_yaml.yaml"

static void write_bytes(const char *text, size_t size) {
  FILE *file = fopen(PATH, "wb");

  CU_ASSERT_PTR_NOT_NULL_FATAL(file);
  CU_ASSERT_EQUAL(fwrite(text, 1, size, file), size);
  CU_ASSERT_EQUAL(fclose(file), 0);
}

static mb_status read_text(const char *text, mb_yaml **root) {
  write_bytes(text, strlen(text));
  return mb_yaml_read(PATH, root);
}

static void check_refused(const char *text, const char *message) {
  mb_yaml *root = NULL;

  CHECK_FAILS(read_text(text, &root), MB_ERR_FORMAT, message);
  CU_ASSERT_PTR_NULL(root);
}

static void test_tree(void) {
  mb_yaml *root = NULL;

  CHECK_OK(
      read_text("# a config\nname: x\ncluster:\n  gpus: 32\n  list: [a, 'b', {c: 1}]\n", &root));
  CU_ASSERT_PTR_NOT_NULL_FATAL(root);
  CU_ASSERT_EQUAL(root->kind, MB_YAML_MAPPING);
  const mb_yaml *gpus = mb_yaml_find(root, "cluster.gpus");
  CU_ASSERT_PTR_NOT_NULL_FATAL(gpus);
  CU_ASSERT_STRING_EQUAL(gpus->text, "32");
  CU_ASSERT_EQUAL(gpus->line, 4);
  CU_ASSERT_EQUAL(gpus->column, 3);
  const mb_yaml *list = mb_yaml_find(root, "cluster.list");
  CU_ASSERT_PTR_NOT_NULL_FATAL(list);
  CU_ASSERT_EQUAL(list->kind, MB_YAML_SEQUENCE);
  CU_ASSERT_EQUAL_FATAL(list->n_children, 3);
  CU_ASSERT_FALSE(list->children[0]->quoted);
  CU_ASSERT_TRUE(list->children[1]->quoted);
  CU_ASSERT_STRING_EQUAL(mb_yaml_get(list->children[2], "c")->text, "1");
  CU_ASSERT_PTR_NULL(mb_yaml_find(root, "cluster.nodes"));
  CU_ASSERT_PTR_NULL(mb_yaml_find(root, "name.nodes"));
  CU_ASSERT_STRING_EQUAL(mb_yaml_find_nearest(root, "cluster.nodes")->key, "cluster");
  CU_ASSERT_PTR_EQUAL(mb_yaml_find_nearest(root, "schedule.interval"), root);
  mb_yaml_destroy(root);
}

static void test_refused(void) {
  check_refused("a: 1\nb: 2\na: 3\n",
                PATH ":3:1: a: this key is here a second time, first in line 1");
  check_refused("a: {x: 1,\n  x: 2}\n", PATH ":2:3: x: this key is here a second time");
  check_refused("a: &here 1\n", PATH ":1:4: an anchor");
  check_refused("a: &here [1]\n", PATH ":1:4: an anchor");
  check_refused("&here a: 1\n", PATH ":1:1: an anchor");
  check_refused("a: 1\nb: *here\n", PATH ":2:4: an alias");
  check_refused("*here : 1\n", PATH ":1:1: an alias");
  check_refused("a:\n  <<: {b: 1}\n", PATH ":2:3: a merge key");
  check_refused("a: !!int 1\n", PATH ":1:4: a tag");
  check_refused("a: !mine {b: 1}\n", PATH ":1:4: a tag");
  check_refused("a: 1\n---\nb: 2\n", PATH ":2:1: a second document");
  check_refused("[a, b]: 1\n", PATH ":1:1: a key that is no text");
  check_refused("'': 1\n", PATH ":1:1: an empty key");
  check_refused("", PATH ":1:1: is empty");
  check_refused("# nothing\n", PATH ":2:1: is empty");
  check_refused("a: \"x\\0y\"\n", PATH ":1:4: a text with a NUL");
  check_refused("a: [1, 2\nb: 3\n", PATH ":2:2: not YAML");
  check_refused("a: 1\n b: 2\n", PATH ":2:3: not YAML");
  check_refused("a: 1\n\tb: 2\n", PATH ":2:1: not YAML: a tab; indent with spaces");
  check_refused("# \xe2\x82\xac\na:\n\tb: 2\n", PATH ":3:1: not YAML: a tab");
  check_refused("ok: 1\nname: caf\xe9\n", PATH ":2:1: ");
  check_refused("ok: 1\nname: caf\xe9\n", "UTF-8");
  check_refused("a: \x01\n", "control characters");
}

static void test_limits(void) {
  enum { N = 100000 };
  char *text = malloc(N + 1);
  mb_yaml *root = NULL;

  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CHECK_OK(read_text("[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]", &root));
  mb_yaml_destroy(root);
  check_refused("[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]", PATH ":1:17: more than 16 levels deep");
  memset(text, '[', N);
  text[N] = '\0';
  check_refused(text, "more than 16 levels deep");
  memset(text, '{', N);
  check_refused(text, PATH ":1:2: ");
  for (size_t i = 0; i < N; i += 2) {
    text[i] = '-';
    text[i + 1] = '\n';
  }
  check_refused(text, "more than 10000 values");
  free(text);

  char *large = calloc(1, (size_t)MB_YAML_MAX_BYTES + 2);
  CU_ASSERT_PTR_NOT_NULL_FATAL(large);
  memset(large, '#', (size_t)MB_YAML_MAX_BYTES + 1);
  check_refused(large, "larger than 1 MiB");
  free(large);
}

static void test_io(void) {
  mb_yaml *root = NULL;

  CHECK_FAILS(mb_yaml_read("nowhere/x.yaml", &root), MB_ERR_IO, "nowhere/x.yaml: cannot be read: ");
  CHECK_FAILS(mb_yaml_read(".", &root), MB_ERR_IO, ".: cannot be read: ");
  CU_ASSERT_PTR_NULL(root);
}

static void test_byte_order_mark(void) {
  mb_yaml *root = NULL;

  CHECK_OK(read_text("\xef\xbb\xbfname: x\nseed: 1\n", &root));
  CU_ASSERT_PTR_NOT_NULL(mb_yaml_get(root, "name"));
  CU_ASSERT_PTR_NOT_NULL(mb_yaml_get(root, "seed"));
  mb_yaml_destroy(root);
  /* UTF-16 is refused, with its mark or without. */
  write_bytes("\xff\xfe"
              "a\0:\0 \0"
              "1\0",
              10);
  CHECK_FAILS(mb_yaml_read(PATH, &root), MB_ERR_FORMAT, "UTF-8");
}

static mb_status set(mb_yaml *root, const char *path, const char *text) {
  mb_yaml *value = NULL;
  mb_status status = mb_yaml_parse("--set", text, &value);

  if (status == MB_OK) {
    status = mb_yaml_set(root, path, value);
    if (status != MB_OK) {
      mb_yaml_destroy(value);
    }
  }
  return status;
}

static void test_set(void) {
  mb_yaml *root = NULL;

  CHECK_OK(read_text("name: x\ncluster: {gpus: 8}\n", &root));
  CHECK_OK(set(root, "cluster.gpus", "16"));
  CHECK_OK(set(root, "schedule.interval", "64"));
  CHECK_OK(set(root, "strategies", "[l2, lpt]"));
  CU_ASSERT_STRING_EQUAL(mb_yaml_find(root, "cluster.gpus")->text, "16");
  CU_ASSERT_STRING_EQUAL(mb_yaml_find(root, "schedule.interval")->text, "64");
  CU_ASSERT_EQUAL(mb_yaml_find(root, "strategies")->n_children, 2);
  CHECK_FAILS(mb_yaml_fail(mb_yaml_find(root, "cluster.gpus"), MB_ERR_PARAM, "no"), MB_ERR_PARAM,
              "--set: no");
  CHECK_FAILS(mb_yaml_fail(mb_yaml_find(root, "name"), MB_ERR_PARAM, "no"), MB_ERR_PARAM,
              PATH ":1: no");
  CHECK_FAILS(set(root, "name.first", "y"), MB_ERR_PARAM, "--set: name.first: name is a text");
  CHECK_FAILS(set(root, "a..b", "y"), MB_ERR_PARAM, "--set: 'a..b' is no key");
  CHECK_FAILS(set(root, "", "y"), MB_ERR_PARAM, "--set: '' is no key");
  CHECK_FAILS(set(root, "name", "[1"), MB_ERR_FORMAT, "--set: not YAML");
  CHECK_FAILS(set(root, "name", ""), MB_ERR_FORMAT, "--set: is empty");
  mb_yaml_destroy(root);
}

/* What is written is read back as the same text. */
static void test_write_text(void) {
  static const char *const texts[] = {"",
                                      "x",
                                      "/a/b.h5",
                                      "a b",
                                      "null",
                                      "Yes",
                                      "- x",
                                      "a: b",
                                      "\"q\"",
                                      "\\",
                                      "#",
                                      "1.5",
                                      "tab\tnew\nline",
                                      "\xc3\xa9t\xc3\xa9",
                                      "~",
                                      "*x",
                                      "\x7f"};

  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    FILE *file = fopen(PATH, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fputs("key: ", file);
    mb_yaml_write_text(file, texts[i]);
    (void)fputc('\n', file);
    CU_ASSERT_EQUAL(fclose(file), 0);
    mb_yaml *root = NULL;
    CHECK_OK(mb_yaml_read(PATH, &root));
    CU_ASSERT_PTR_NOT_NULL_FATAL(root);
    CU_ASSERT_STRING_EQUAL(mb_yaml_get(root, "key")->text, texts[i]);
    mb_yaml_destroy(root);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"a tree with its lines", test_tree},
                         {"what is refused", test_refused},
                         {"too deep, too many, too large", test_limits},
                         {"files that cannot be read", test_io},
                         {"byte order marks", test_byte_order_mark},
                         {"values set by path", test_set},
                         {"texts written and read back", test_write_text},
                         CU_TEST_INFO_NULL};
  int status = run_suite("yaml", tests);

  (void)remove(PATH);
  return status;
}
