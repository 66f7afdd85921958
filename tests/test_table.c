/* tests/test_table.c - tables: their exact bytes, and that they come whole or not at all. */
#include <dirent.h>
#include <sys/stat.h>

#include "experiments/table.h"
#include "tests/results_file.h"

static void write_rows(mb_table *table, double number) {
  mb_table_put_text(table, "a");
  mb_table_put_format(table, "%s:min", "l2_x");
  mb_table_end_row(table);
  mb_table_put_count(table, 7);
  mb_table_put_number(table, number);
  mb_table_end_row(table);
}

static int files_in(const char *path) {
  DIR *folder = opendir(path);
  int count = 0;

  for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
    count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
  }
  (void)closedir(folder);
  return count;
}

static void check_content(const char *path, const char *expected) {
  size_t size = 0;
  char *text = results_slurp(path, &size);

  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  CU_ASSERT_STRING_EQUAL(text, expected);
  free(text);
}

static void test_bytes(void) {
  static const struct {
    double number;
    const char *expected;
  } cases[] = {{1.0, "a\tl2_x:min\n7\t1\n"},
               {0.1, "a\tl2_x:min\n7\t0.1\n"},
               {1.0 / 3.0, "a\tl2_x:min\n7\t0.3333333333\n"},
               {-NAN, "a\tl2_x:min\n7\tNaN\n"},
               {1e300, "a\tl2_x:min\n7\t1e+300\n"}};

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mb_table *table = NULL;
    CHECK_OK(mb_table_create(results_path("bytes.tsv"), &table));
    write_rows(table, cases[i].number);
    CHECK_OK(mb_table_finish(table));
    check_content(results_path("bytes.tsv"), cases[i].expected);
  }
}

static void test_whole_or_not(void) {
  mb_table *table = NULL;

  (void)mkdir(results_path("whole"), 0777);
  CHECK_OK(mb_table_create(results_path("whole/t.tsv"), &table));
  write_rows(table, 1.0);
  CHECK_OK(mb_table_finish(table));
  /* While the next one is written, and when it is dropped, the older one is as it was. */
  CHECK_OK(mb_table_create(results_path("whole/t.tsv"), &table));
  write_rows(table, 2.0);
  check_content(results_path("whole/t.tsv"), "a\tl2_x:min\n7\t1\n");
  mb_table_discard(table);
  check_content(results_path("whole/t.tsv"), "a\tl2_x:min\n7\t1\n");
  CU_ASSERT_EQUAL(files_in(results_path("whole")), 1);
  mb_table_discard(NULL);
}

static void test_failures(void) {
  mb_table *table = NULL;

  CHECK_FAILS(mb_table_create(results_path("nowhere/t.tsv"), &table), MB_ERR_IO,
              "nowhere/t.tsv cannot be written: No such file or directory");
  CU_ASSERT_PTR_NULL(table);
  /* A folder of the table's name: everything goes well until the end. */
  (void)mkdir(results_path("taken"), 0777);
  (void)mkdir(results_path("taken/t.tsv"), 0777);
  CHECK_OK(mb_table_create(results_path("taken/t.tsv"), &table));
  write_rows(table, 1.0);
  CHECK_FAILS(mb_table_finish(table), MB_ERR_IO, "taken/t.tsv cannot be written");
  CU_ASSERT_EQUAL(files_in(results_path("taken")), 1);
}

int main(void) {
  CU_TestInfo tests[] = {{"exact bytes", test_bytes},
                         {"whole or not at all", test_whole_or_not},
                         {"failures", test_failures},
                         CU_TEST_INFO_NULL};

  return run_suite("table", tests);
}
