/* tests/test_param.c - tables of parameters: defaults, texts read and refused, texts written. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "balancer/param.h"
#include "tests/test.h"

typedef struct values {
  int64_t rounds;
  double gain;
  bool quirks;
  char kind[MB_PARAM_TEXT_SIZE];
  char label[MB_PARAM_TEXT_SIZE];
  int64_t given;
} values;

static const char *const kinds[] = {"plain", "fancy", NULL};

static const mb_param table[] = {
    {.key = "rounds",
     .type = MB_PARAM_INT,
     .initial = "50",
     .min = 0,
     .max = 1e9,
     .word = "unlimited",
     .word_value = INT64_MAX,
     .offset = offsetof(values, rounds)},
    {.key = "gain",
     .type = MB_PARAM_REAL,
     .initial = "1e-6",
     .min = -1,
     .max = 1e300,
     .offset = offsetof(values, gain)},
    {.key = "quirks", .type = MB_PARAM_BOOL, .initial = "true", .offset = offsetof(values, quirks)},
    {.key = "kind",
     .type = MB_PARAM_TEXT,
     .initial = "plain",
     .choices = kinds,
     .offset = offsetof(values, kind)},
    {.key = "label", .type = MB_PARAM_TEXT, .offset = offsetof(values, label)},
    {.key = "given",
     .type = MB_PARAM_INT,
     .min = -9007199254740992.0,
     .max = 9007199254740992.0,
     .offset = offsetof(values, given)},
    {0},
};

static const mb_param empty_table[] = {{0}};

static void test_find(void) {
  CU_ASSERT_PTR_EQUAL(mb_param_find(table, "gain"), &table[1]);
  CU_ASSERT_PTR_NULL(mb_param_find(table, "gains"));
  CU_ASSERT_PTR_NULL(mb_param_find(table, ""));
  CU_ASSERT_PTR_NULL(mb_param_find(empty_table, "gain"));
  CU_ASSERT_PTR_NULL(mb_param_find(NULL, "gain"));
}

static void check_nearest(const char *key, const char *expected) {
  const char *nearest = mb_param_nearest(table, key);
  CU_ASSERT(expected == NULL ? nearest == NULL : nearest != NULL && strcmp(nearest, expected) == 0);
}

static void test_nearest(void) {
  char endless[200];

  check_nearest("rounds", "rounds");
  check_nearest("round", "rounds");
  check_nearest("ruonds", "rounds");
  check_nearest("gian", "gain");
  check_nearest("qirk", "quirks");
  check_nearest("GAIN", "gain");
  check_nearest("lab", "label");
  check_nearest("q", "quirks");
  check_nearest("", NULL);
  check_nearest("xy", NULL);
  check_nearest("bandwidth", NULL);
  memset(endless, 'r', sizeof endless - 1);
  endless[sizeof endless - 1] = '\0';
  check_nearest(endless, NULL);
  CU_ASSERT_PTR_NULL(mb_param_nearest(NULL, "gain"));
}

static void test_defaults(void) {
  values v;

  memset(&v, 0x55, sizeof v);
  mb_params_init(table, &v);
  CU_ASSERT_EQUAL(v.rounds, 50);
  CU_ASSERT(v.gain == 1e-6);
  CU_ASSERT(v.quirks);
  CU_ASSERT_STRING_EQUAL(v.kind, "plain");
  CU_ASSERT_STRING_EQUAL(v.label, "");
  CU_ASSERT_EQUAL(v.given, 0);
  mb_params_init(NULL, &v);
  CU_ASSERT_EQUAL(v.rounds, 50);
}

static int64_t set_given(const char *text) {
  values v;

  mb_params_init(table, &v);
  CHECK_OK(mb_params_set(table, "given", text, &v));
  return v.given;
}

static double set_gain(const char *text) {
  values v;

  mb_params_init(table, &v);
  CHECK_OK(mb_params_set(table, "gain", text, &v));
  return v.gain;
}

static void test_accepted(void) {
  values v;

  CU_ASSERT_EQUAL(set_given("0"), 0);
  CU_ASSERT_EQUAL(set_given("-17"), -17);
  CU_ASSERT_EQUAL(set_given("1e6"), 1000000);
  CU_ASSERT_EQUAL(set_given("2.5e1"), 25);
  CU_ASSERT_EQUAL(set_given("9007199254740992"), INT64_C(9007199254740992));
  CU_ASSERT(set_gain("0.25") == 0.25);
  CU_ASSERT(set_gain("-1") == -1);
  CU_ASSERT(set_gain("1e300") == 1e300);
  CU_ASSERT(set_gain("4.9e-324") == 4.9e-324);

  mb_params_init(table, &v);
  CHECK_OK(mb_params_set(table, "rounds", "unlimited", &v));
  CU_ASSERT_EQUAL(v.rounds, INT64_MAX);
  CHECK_OK(mb_params_set(table, "rounds", "0", &v));
  CU_ASSERT_EQUAL(v.rounds, 0);
  CHECK_OK(mb_params_set(table, "quirks", "false", &v));
  CU_ASSERT(!v.quirks);
  CHECK_OK(mb_params_set(table, "quirks", "true", &v));
  CU_ASSERT(v.quirks);
  CHECK_OK(mb_params_set(table, "kind", "fancy", &v));
  CU_ASSERT_STRING_EQUAL(v.kind, "fancy");
  CHECK_OK(mb_params_set(table, "label", "any text, 100 %", &v));
  CU_ASSERT_STRING_EQUAL(v.label, "any text, 100 %");
}

/* Refused, with that in the message, and no byte changed. */
static void check_refused(const char *key, const char *text, const char *message) {
  _Alignas(values) unsigned char v[sizeof(values)];

  memset(v, 0x55, sizeof v);
  CHECK_FAILS(mb_params_set(table, key, text, v), MB_ERR_PARAM, message);
  for (size_t x = 0; x < sizeof v; x++) {
    CU_ASSERT_EQUAL(v[x], 0x55);
  }
}

static void test_refused_int(void) {
  const char *const wrong[] = {
      "",     " 5",  "5 ",  "five",      "0x10", "1.5",   "1e-1", "-1",
      "1e10", "nan", "inf", "Unlimited", "1e",   "1e400", "--1",  "99999999999999999999"};

  for (size_t x = 0; x < sizeof wrong / sizeof wrong[0]; x++) {
    char message[256];
    (void)snprintf(
        message, sizeof message,
        "rounds is '%s', but has to be a whole number from 0 to 1000000000, or unlimited",
        wrong[x]);
    check_refused("rounds", wrong[x], message);
  }
  check_refused("given", "unlimited",
                "given is 'unlimited', but has to be a whole number from -9007199254740992 to "
                "9007199254740992");
  check_refused("given", "9007199254740994", "given is '9007199254740994'");
}

static void test_refused_real(void) {
  const char *const wrong[] = {"",    " 1", "1 ",    "one",   "0x1p3", "1,5", "nan",
                               "inf", "-2", "1e301", "1e999", "1e",    ".",   "e5"};

  for (size_t x = 0; x < sizeof wrong / sizeof wrong[0]; x++) {
    char message[256];
    (void)snprintf(message, sizeof message,
                   "gain is '%s', but has to be a number from -1 to 1e+300", wrong[x]);
    check_refused("gain", wrong[x], message);
  }
}

static void test_refused_rest(void) {
  char endless[MB_PARAM_TEXT_SIZE + 1];

  check_refused("quirks", "yes", "quirks is 'yes', but has to be true or false");
  check_refused("quirks", "", "quirks is '', but has to be true or false");
  check_refused("quirks", "True", "has to be true or false");
  check_refused("kind", "plai", "kind is 'plai', but has to be one of: plain, fancy");
  check_refused("kind", "", "kind is '', but has to be one of: plain, fancy");
  memset(endless, 'x', sizeof endless - 1);
  endless[sizeof endless - 1] = '\0';
  check_refused("label", endless, "label has 1024 bytes, but at most 1023 are allowed");
}

static void test_refused_keys(void) {
  values v = {0};

  check_refused("max_gian", "1", "unknown parameter 'max_gian'; known: rounds, gain, quirks, kind");
  check_refused("gian", "1", "unknown parameter 'gian'; did you mean 'gain'?");
  CHECK_FAILS(mb_params_set(NULL, "gain", "1", &v), MB_ERR_PARAM,
              "unknown parameter 'gain'; known: none");
  CHECK_FAILS(mb_params_set(empty_table, "gain", "1", &v), MB_ERR_PARAM, "known: none");
  /* A message stays one line, and plain text, whatever it quotes. */
  check_refused("a\nb\x1b[2J", "1", "unknown parameter 'a b [2J'; known: ");
}

/* The longest text that fits does. */
static void test_longest_text(void) {
  char longest[MB_PARAM_TEXT_SIZE];
  values v;

  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  mb_params_init(table, &v);
  CHECK_OK(mb_params_set(table, "label", longest, &v));
  CU_ASSERT_STRING_EQUAL(v.label, longest);
}

/* Values are compared as bytes: what stood there before leaves no trace. */
static void test_equal_bytes(void) {
  values once;
  values twice;

  memset(&once, 0, sizeof once);
  memset(&twice, 0, sizeof twice);
  CHECK_OK(mb_params_set(table, "label", "b", &once));
  CHECK_OK(mb_params_set(table, "label", "longer", &twice));
  CHECK_OK(mb_params_set(table, "label", "b", &twice));
  CU_ASSERT(memcmp(&once, &twice, sizeof once) == 0);
}

static void check_format(const char *key, const values *v, const char *expected) {
  char text[64];

  CU_ASSERT_PTR_EQUAL(mb_param_format(mb_param_find(table, key), v, text, sizeof text), text);
  CU_ASSERT_STRING_EQUAL(text, expected);
}

static void test_format(void) {
  values v = {.rounds = INT64_MAX, .gain = 0.1, .quirks = false, .kind = "fancy", .given = -5};

  check_format("rounds", &v, "unlimited");
  check_format("gain", &v, "0.1");
  check_format("quirks", &v, "false");
  check_format("kind", &v, "fancy");
  check_format("label", &v, "");
  check_format("given", &v, "-5");
  v.quirks = true;
  v.rounds = 1000000000;
  check_format("quirks", &v, "true");
  check_format("rounds", &v, "1000000000");
}

/* What is written reads back to the same bits: neighbours of short decimals need 17 digits. */
static void test_format_bits(void) {
  double bases[] = {1e-6, 0.1, 1.0 / 3, 2.5e-310, 123456789.0, 1e299, -0.7};

  for (size_t x = 0; x < sizeof bases / sizeof bases[0]; x++) {
    double value = nextafter(bases[x], -INFINITY);
    for (int step = 0; step < 3; step++) {
      values v = {.gain = value};
      values back = {0};
      char text[64];
      CHECK_OK(
          mb_params_set(table, "gain", mb_param_format(&table[1], &v, text, sizeof text), &back));
      CU_ASSERT(v.gain == back.gain);
      value = nextafter(value, INFINITY);
    }
  }
}

int main(void) {
  CU_TestInfo tests[] = {{"keys are found", test_find},
                         {"slips of keys find the nearest", test_nearest},
                         {"defaults", test_defaults},
                         {"texts accepted", test_accepted},
                         {"whole numbers refused", test_refused_int},
                         {"numbers refused", test_refused_real},
                         {"switches and texts refused", test_refused_rest},
                         {"unknown keys refused", test_refused_keys},
                         {"the longest text", test_longest_text},
                         {"equal values, equal bytes", test_equal_bytes},
                         {"values written", test_format},
                         {"numbers written read back to the same bits", test_format_bits},
                         CU_TEST_INFO_NULL};
  return run_suite("param", tests);
}
