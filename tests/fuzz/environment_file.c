/* SPDX-License-Identifier: MIT */

/* A file of variables is read, or the fault has a line; what was read, written down with quotes, is
 * read again as the same. */

#include "settings/environment_file.h"

#include <errno.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/macros.h"
#include "base/utf8.h"
#include "settings/value.h"
#include "settings/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_down(Buffer *to, char **variables)
{
        for (; variables && *variables; variables++) {
                const char *p = *variables;
                size_t name = strcspn(p, "=") + 1;

                ASSERT(variable_name_valid(p) && p[name - 1] == '=');
                ASSERT(utf8_valid(slice_of(p)));
                buffer_append(to, p, name);
                buffer_append_char(to, '"');
                for (p += name; *p; p++) {
                        if (strchr("\"\\`$", *p))
                                buffer_append_char(to, '\\');
                        buffer_append_char(to, *p);
                }
                buffer_append_literal(to, "\"\n");
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        AUTO(words_free) char **variables = NULL, **again = NULL;
        AUTO(buffer_fini) Buffer text = BUFFER_INIT;
        SettingsError error = { 0 };
        int r = environment_file_parse(&variables, "file", (Slice){ (const char *)data, size },
                                       &error);

        if (r < 0) {
                ASSERT(r == -EINVAL && error.line > 0 && error.message[0]);
                return 0;
        }
        write_down(&text, variables);
        r = environment_file_parse(&again, "file", buffer_slice(&text), &error);
        ASSERT(r == 0 && words_equal(variables, again));
        return 0;
}
