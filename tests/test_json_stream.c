/* tests/test_json_stream.c - JSON that is read from front to back. */
#include "workloads/json_stream.h"

#include "tests/import_text.h"

static mb_input input;

static mb_json *open_bytes(const char *bytes, size_t n) {
  mb_json *json = NULL;

  input = input_of("x.json", bytes, n);
  CHECK_OK(mb_json_open(&input, &json));
  CU_ASSERT_PTR_NOT_NULL_FATAL(json);
  return json;
}

static mb_json *open_text(const char *text) {
  return open_bytes(text, strlen(text));
}

static void done(mb_json *json) {
  mb_json_destroy(json);
  mb_input_close(&input);
}

static mb_status whole(const char *text, int64_t *value) {
  mb_json *json = open_text(text);
  mb_status status = mb_json_whole(json, "a count", -1000, INT64_MAX, value);

  done(json);
  return status;
}

static void test_whole_numbers(void) {
  static const struct {
    const char *text;
    int64_t value;
  } good[] = {
      {"0", 0},
      {"-0", 0},
      {"-0.0", 0},
      {"12", 12},
      {"-1000", -1000},
      {"3.0", 3},
      {"3.000", 3},
      {"3e0", 3},
      {"1.5e1", 15},
      {"1500e-2", 15},
      {"0.0015e+4", 15},
      {"0e999999999999999999999", 0},
      {"0.000e-9", 0},
      {"9223372036854775807", INT64_MAX},
      {"9223372036854775807.0", INT64_MAX},
      {"922337203685477580.7e1", INT64_MAX},
      {"000", -1},
  };
  static const char *const bad[] = {"0.5",
                                    "1e-1",
                                    "-1001",
                                    "9223372036854775808",
                                    "1e19",
                                    "1e999999999999999999999",
                                    "3.00000000000000000000000000000000001",
                                    "0.30000000000000000001e1",
                                    "\"3\"",
                                    "true",
                                    "null",
                                    "[]"};
  int64_t value = 0;

  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    if (good[i].value == -1) {
      continue; /* no JSON: leading zeros */
    }
    CHECK_OK(whole(good[i].text, &value));
    CU_ASSERT_EQUAL(value, good[i].value);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    CHECK_FAILS(whole(bad[i], &value), MB_ERR_FORMAT, "and should be a count");
  }
  CHECK_FAILS(whole("0.5", &value), MB_ERR_FORMAT,
              "x.json: line 1: is 0.5, and should be a count, a whole number from -1000 to ");
}

/* What no JSON is, as its first value is taken. */
static void test_no_json(void) {
  static const struct {
    const char *text, *message;
  } cases[] = {
      {"NaN", "NaN is no number"},
      {"[1, NaN]", "line 1, [1]: NaN is no number"},
      {"[1, -Infinity, 2]", "line 1, [1]: Infinity is no number"},
      {"\n\n[Infinity]", "line 3, [0]: Infinity is no number"},
      {"[1, 2", "line 1, [2]: the file ends here, after 5 bytes"},
      {"[1 2]", "is no JSON, at byte"},
      {"[1,]", "is no JSON"},
      {"{\"a\" 1}", "is no JSON"},
      {"'a'", "is no JSON"},
      {"[01]", "is no JSON"},
      {"\xff\xfe", "is no JSON"},
      {"[\"\xff\"]", "is no JSON"},
      {"tru", "the file ends here"},
      {"\"abc", "the file ends here"},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mb_json *json = open_text(cases[i].text);
    mb_json_kind kind;
    bool more = true;
    mb_status status = mb_json_peek(json, &kind);
    if (status == MB_OK && kind == MB_JSON_ARRAY) {
      status = mb_json_array(json);
      while (status == MB_OK && more) {
        status = mb_json_item(json, &more);
        status = status == MB_OK && more ? mb_json_skip(json) : status;
      }
    } else if (status == MB_OK) {
      status = mb_json_skip(json);
    }
    CHECK_FAILS(status, MB_ERR_FORMAT, cases[i].message);
    done(json);
  }
}

static void test_fields(void) {
  static const char *const names[] = {"a", "b"};
  mb_json *json =
      open_text("{\"x\": {\"a\": [1, {\"a\": 2}]}, \"b\": 7, \"y\": \"text\", \"a\": null,"
                " \"\": 1} {\"a\": 1,\n \"a\": 2}");
  uint64_t seen = 0;
  size_t which = 9;
  int64_t value = 0;
  bool more = false;

  CHECK_OK(mb_json_object(json));
  CHECK_OK(mb_json_field(json, 2, names, &seen, &which));
  CU_ASSERT_EQUAL(which, 1);
  CHECK_OK(mb_json_whole(json, "b", 0, 9, &value));
  CU_ASSERT_EQUAL(value, 7);
  CHECK_OK(mb_json_field(json, 2, names, &seen, &which));
  CU_ASSERT(which == 2 && seen == 2);
  CHECK_OK(mb_json_more(json, &more));
  CU_ASSERT_TRUE(more);
  seen = 0;
  CHECK_OK(mb_json_object(json));
  CHECK_OK(mb_json_field(json, 2, names, &seen, &which));
  CHECK_OK(mb_json_skip(json));
  CHECK_FAILS(mb_json_field(json, 2, names, &seen, &which), MB_ERR_FORMAT,
              "x.json: line 2, a: comes twice in one object");
  done(json);
}

static void test_text(void) {
  mb_json *json = open_text("\"a\\u00e9\\n\" 12.50 \"long\" \"a\\u0000b\" true");
  char text[5];

  CHECK_OK(mb_json_text(json, "a name", false, sizeof text, text));
  CU_ASSERT_STRING_EQUAL(text, "a\xc3\xa9\n");
  CHECK_FAILS(mb_json_text(json, "a name", false, sizeof text, text), MB_ERR_FORMAT,
              "is 12.50, and should be a name, a text");
  CHECK_FAILS(mb_json_text(json, "a name", true, sizeof text, text), MB_ERR_FORMAT, "has 5 bytes");
  CHECK_OK(mb_json_skip(json));
  CHECK_OK(mb_json_text(json, "a name", false, sizeof text, text));
  CU_ASSERT_STRING_EQUAL(text, "long");
  CHECK_FAILS(mb_json_text(json, "a name", true, sizeof text, text), MB_ERR_FORMAT, "none 0");
  CHECK_OK(mb_json_skip(json));
  CHECK_FAILS(mb_json_text(json, "a name", true, sizeof text, text), MB_ERR_FORMAT,
              "is true, and should be a name, a text or a number");
  done(json);
}

static const mb_json_bounds bounds = {
    .what = "a count", .min = 0, .max = 99, .rows_max = 3, .row_max = 4, .row_too = true};

static void test_tables(void) {
  static const struct {
    const char *text, *message;
  } bad[] = {
      {"[[1, 2], [3]]", "line 1, [1]: has 1 numbers, and should have 2"},
      {"[]", "is an empty array"},
      {"[[]]", "line 1, [0]: is an empty array"},
      {"[[1], 2]", "line 1, [1]: is 2, and should be an array"},
      {"[1, [2]]", "line 1, [1]: is an array, and should be a count"},
      {"[[1], [100]]",
       "line 1, [1][0]: is 100, and should be a count, a whole number from 0 to 99"},
      {"[[1], [-1]]", "is -1"},
      {"[[1, 2, 3, 4, 5]]", "more than 4 numbers"},
      {"[[1], [1], [1], [1]]", "more than 3 rows"},
      {"{}", "is an object, and should be an array"},
  };
  mb_json *json = open_text("[[1, 2], [3.0, 4e0]] [5, 6, 7] [[8]]");
  mb_json_table table = {0};

  CHECK_OK(mb_json_table_read(json, &bounds, &table));
  CU_ASSERT(table.n_rows == 2 && table.n_columns == 2 && table.values[0] == 1 &&
            table.values[2] == 3 && table.values[3] == 4);
  CHECK_OK(mb_json_table_read(json, &bounds, &table));
  CU_ASSERT(table.n_rows == 1 && table.n_columns == 3 && table.values[2] == 7);
  CHECK_OK(mb_json_table_read(json, &bounds, &table));
  CU_ASSERT(table.n_rows == 1 && table.n_columns == 1 && table.values[0] == 8);
  done(json);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    json = open_text(bad[i].text);
    CHECK_FAILS(mb_json_table_read(json, &bounds, &table), MB_ERR_FORMAT, bad[i].message);
    done(json);
  }
  mb_json_table_free(&table);
}

/* Numbers, names and texts across the borders of blocks, at every place that they can lie. */
static void test_blocks(void) {
  enum { N = 20000, BLOCK = 16384 };
  static char text[BLOCK + N + 64];
  static const char *const names[] = {"number"};

  for (size_t shift = 0; shift < 40; shift++) {
    size_t blank = BLOCK - shift;
    memset(text, ' ', blank);
    size_t n = (size_t)snprintf(text + blank, sizeof text - blank,
                                "{\"te\\u00e9xt\":\"a\\nb\",\"number\":1234567}");
    mb_json *json = open_bytes(text, blank + n);
    uint64_t seen = 0;
    size_t which = 9;
    int64_t value = 0;
    bool more = true;
    CHECK_OK(mb_json_object(json));
    CHECK_OK(mb_json_field(json, 1, names, &seen, &which));
    CHECK_OK(mb_json_whole(json, "number", 0, INT32_MAX, &value));
    CU_ASSERT_EQUAL(value, 1234567);
    CHECK_OK(mb_json_field(json, 1, names, &seen, &which));
    CU_ASSERT_EQUAL(which, 1);
    CHECK_OK(mb_json_more(json, &more));
    CU_ASSERT_FALSE(more);
    done(json);
  }
}

/* A text is passed over up to 1 MiB; YAJL's buffers are of that order, not of the file's. */
static void test_limits(void) {
  enum { N = 3 << 20 };
  char *text = malloc(N);
  CU_ASSERT_PTR_NOT_NULL_FATAL(text);
  memset(text, 'x', N);
  text[0] = '"';

  text[1000000] = '"';
  mb_json *json = open_bytes(text, 1000001);
  CHECK_OK(mb_json_skip(json));
  done(json);
  text[1000000] = 'x';
  json = open_bytes(text, N);
  CHECK_FAILS(mb_json_skip(json), MB_ERR_FORMAT,
              "a text, number or blank of more than 1048576 bytes");
  done(json);
  memset(text, '9', N);
  json = open_bytes(text, N);
  CHECK_FAILS(mb_json_skip(json), MB_ERR_FORMAT, "of more than 1048576 bytes");
  done(json);
  memset(text, '[', N);
  json = open_bytes(text, N);
  CHECK_FAILS(mb_json_skip(json), MB_ERR_FORMAT, "more than 64 objects and arrays");
  done(json);
  /* Escapes are unpacked to another buffer. */
  for (size_t i = 1; i + 1 < 900000; i += 2) {
    text[i] = '\\';
    text[i + 1] = 'n';
  }
  text[0] = text[900001] = '"';
  json = open_bytes(text, 900002);
  CHECK_OK(mb_json_skip(json));
  done(json);
  free(text);
}

static void test_recognises(void) {
  static const char *const names[] = {"history", "other"};
  static const struct {
    const char *text;
    bool found;
  } cases[] = {
      {"{\"history\": []}", true},
      {" {\"a\": [1, 2], \"other\": 1", true},
      {"{\"rows\": [{\"history\": 1}]}", true},
      {"{\"a\": \"history\"}", false},
      {"{\"a\": 1} {\"history\": 1}", false},
      {"[\"history\"]", false},
      {"{\"a\": NaN, \"history\": 1}", false},
      {"", false},
      {"history", false},
      {"{\"histor", false},
      {"{\"a\": [[[[{\"history\": 1}]]]]}", false},
  };

  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    mb_input in = input_of("x", cases[i].text, strlen(cases[i].text));
    CU_ASSERT_EQUAL(mb_json_begins_with(&in, 2, names), cases[i].found);
    mb_input_close(&in);
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"whole numbers are taken exactly", test_whole_numbers},
                         {"what is no JSON is named with its place", test_no_json},
                         {"fields are found, others passed over, doubles refused", test_fields},
                         {"texts", test_text},
                         {"tables of whole numbers", test_tables},
                         {"values across blocks", test_blocks},
                         {"limits of depth and of memory", test_limits},
                         {"formats are recognised by their names", test_recognises},
                         CU_TEST_INFO_NULL};

  return run_suite("json stream", tests);
}
