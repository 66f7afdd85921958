/* workloads/archive.c - libzip, which reads through mb_input_read(). */
#include "workloads/archive.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* What libzip calls the file. */
typedef struct source {
  const mb_input *input;
  uint64_t at;
  zip_error_t error;
} source;

struct mb_archive {
  source source;
  zip_t *zip;
  size_t n;
};

struct mb_member {
  const mb_archive *archive;
  size_t index;
  uint64_t size;
  zip_file_t *file;
  uint64_t at; /* of the next byte that `file` gives */
};

static zip_int64_t source_read(source *s, void *bytes, zip_uint64_t n) {
  uint64_t left = s->at < s->input->size ? s->input->size - s->at : 0;
  size_t some = (size_t)(n < left ? n : left);

  if (mb_input_read(s->input, "a zip file", s->at, some, bytes) != MB_OK) {
    zip_error_set(&s->error, ZIP_ER_READ, 0);
    return -1;
  }
  s->at += some;
  return (zip_int64_t)some;
}

static zip_int64_t source_stat(const source *s, zip_stat_t *stat) {
  zip_stat_init(stat);
  stat->valid = ZIP_STAT_SIZE;
  stat->size = s->input->size;
  return sizeof *stat;
}

static zip_int64_t source_call(void *context, void *data, zip_uint64_t n,
                               zip_source_cmd_t command) {
  source *s = context;

  switch (command) {
  case ZIP_SOURCE_OPEN:
    s->at = 0;
    return 0;
  case ZIP_SOURCE_READ:
    return source_read(s, data, n);
  case ZIP_SOURCE_STAT:
    return source_stat(s, data);
  case ZIP_SOURCE_SEEK: {
    zip_int64_t at = zip_source_seek_compute_offset(s->at, s->input->size, data, n, &s->error);
    if (at < 0) {
      return -1;
    }
    s->at = (uint64_t)at;
    return 0;
  }
  case ZIP_SOURCE_TELL:
    return (zip_int64_t)s->at;
  case ZIP_SOURCE_ERROR:
    return zip_error_to_data(&s->error, data, n);
  case ZIP_SOURCE_SUPPORTS:
    return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE,
                                          ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR, ZIP_SOURCE_FREE,
                                          ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, -1);
  default: /* close and free, of which there is nothing to do */
    return 0;
  }
}

static mb_status fail_open(const mb_input *input, zip_error_t *error) {
  int code = zip_error_code_zip(error);
  mb_status status = code == ZIP_ER_MEMORY ? MB_ERR_MEMORY
                     : code == ZIP_ER_READ ? MB_ERR_IO
                                           : MB_ERR_FORMAT;

  return MB_FAIL(status, "%s: cannot be read as a zip file: %s", input->path,
                 zip_error_strerror(error));
}

mb_status mb_archive_open(const mb_input *input, mb_archive **archive) {
  zip_error_t error;
  mb_status status = MB_OK;

  if (input->is_folder) {
    return MB_FAIL(MB_ERR_FORMAT, "%s: is a folder, and should be a zip file", input->path);
  }
  mb_archive *made = calloc(1, sizeof *made);
  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to open it", input->path);
  }
  zip_error_init(&error);
  zip_error_init(&made->source.error);
  made->source.input = input;
  zip_source_t *from = zip_source_function_create(source_call, &made->source, &error);
  made->zip = from != NULL ? zip_open_from_source(from, ZIP_RDONLY, &error) : NULL;
  if (made->zip == NULL) {
    status = fail_open(input, &error);
    zip_source_free(from);
    mb_archive_destroy(made);
  } else {
    made->n = (size_t)zip_get_num_entries(made->zip, 0);
    *archive = made;
  }
  zip_error_fini(&error);
  return status;
}

void mb_archive_destroy(mb_archive *archive) {
  if (archive != NULL) {
    if (archive->zip != NULL) {
      zip_discard(archive->zip);
    }
    zip_error_fini(&archive->source.error);
    free(archive);
  }
}

size_t mb_archive_count(const mb_archive *archive) {
  return archive->n;
}

const char *mb_archive_name(const mb_archive *archive, size_t i) {
  const char *name = zip_get_name(archive->zip, i, 0);

  return name != NULL ? name : "";
}

bool mb_archive_find(const mb_archive *archive, const char *name, size_t n, size_t *i) {
  char *text = strndup(name, n);
  zip_int64_t found =
      text != NULL && strlen(text) == n ? zip_name_locate(archive->zip, text, 0) : -1;

  free(text);
  if (found < 0) {
    return false;
  }
  *i = (size_t)found;
  return true;
}

static mb_status fail_member(const mb_member *member, zip_error_t *error) {
  const char *hint = error != NULL && zip_error_code_zip(error) == ZIP_ER_CRC
                         ? ": it is damaged, or was written without checksums"
                         : "";

  return MB_FAIL(MB_ERR_FORMAT, "%s: %s: cannot be read: %s%s", member->archive->source.input->path,
                 mb_archive_name(member->archive, member->index),
                 error != NULL ? zip_error_strerror(error) : "its data ends too early", hint);
}

static mb_status open_file(mb_member *member) {
  if (member->file != NULL) {
    (void)zip_fclose(member->file);
  }
  member->at = 0;
  member->file = zip_fopen_index(member->archive->zip, member->index, 0);
  return member->file != NULL ? MB_OK : fail_member(member, zip_get_error(member->archive->zip));
}

mb_status mb_member_open(mb_archive *archive, size_t i, mb_member **member) {
  zip_stat_t about;
  mb_member *made = calloc(1, sizeof *made);

  if (made == NULL) {
    return MB_FAIL(MB_ERR_MEMORY, "%s: no memory to read it", archive->source.input->path);
  }
  made->archive = archive;
  made->index = i;
  mb_status status = MB_OK;
  if (zip_stat_index(archive->zip, i, 0, &about) != 0 || (about.valid & ZIP_STAT_SIZE) == 0) {
    status = fail_member(made, zip_get_error(archive->zip));
  } else {
    made->size = about.size;
    status = open_file(made);
  }
  if (status != MB_OK) {
    mb_member_close(made);
    return status;
  }
  *member = made;
  return MB_OK;
}

void mb_member_close(mb_member *member) {
  if (member != NULL) {
    if (member->file != NULL) {
      (void)zip_fclose(member->file);
    }
    free(member);
  }
}

uint64_t mb_member_size(const mb_member *member) {
  return member->size;
}

static mb_status read_on(mb_member *member, size_t n, void *bytes) {
  while (n > 0) {
    zip_int64_t got = zip_fread(member->file, bytes, n);
    if (got <= 0) {
      return fail_member(member, got < 0 ? zip_file_get_error(member->file) : NULL);
    }
    member->at += (uint64_t)got;
    bytes = (char *)bytes + got;
    n -= (size_t)got;
  }
  return MB_OK;
}

static mb_status skip_to(mb_member *member, uint64_t offset) {
  char passed[4096];

  if (offset == member->at) {
    return MB_OK;
  }
  if (zip_fseek(member->file, (zip_int64_t)offset, SEEK_SET) == 0) {
    member->at = offset;
    return MB_OK;
  }
  if (offset < member->at) {
    MB_TRY(open_file(member));
  }
  while (member->at < offset) {
    uint64_t left = offset - member->at;
    MB_TRY(read_on(member, (size_t)(left < sizeof passed ? left : sizeof passed), passed));
  }
  return MB_OK;
}

mb_status mb_member_read(mb_member *member, uint64_t offset, size_t n, void *bytes) {
  if (offset > member->size || n > member->size - offset) {
    return MB_FAIL(
        MB_ERR_FORMAT,
        "%s: %s: has %" PRIu64 " bytes, where bytes %" PRIu64 " to %" PRIu64 " should be",
        member->archive->source.input->path, mb_archive_name(member->archive, member->index),
        member->size, offset, offset + n);
  }
  MB_TRY(skip_to(member, offset));
  MB_TRY(read_on(member, n, bytes));
  /* libzip compares the checksum when it meets the end, which takes one more read. */
  if (member->at == member->size && n > 0) {
    char none;
    if (zip_fread(member->file, &none, 1) < 0) {
      return fail_member(member, zip_file_get_error(member->file));
    }
  }
  return MB_OK;
}
