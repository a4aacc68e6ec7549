/* SPDX-License-Identifier: MIT */

#include "ctl/cells.h"

#include "ctl/job.h"

void int_cell(Table *t, const json_t *object, const char *name)
{
        table_cell(t, PLAIN, "%lld", (long long)get_int(object, name));
}

void words_cell(Table *t, const json_t *list)
{
        Buffer b = BUFFER_INIT;
        json_t *item;
        size_t i;

        json_array_foreach(list, i, item)
                buffer_printf(&b, "%s%s", i ? " " : "",
                              json_string_value(item) ? json_string_value(item) : "?");
        table_cell(t, PLAIN, "%.*s", (int)buffer_len(&b), b.data ? buffer_bytes(&b) : "");
        buffer_fini(&b);
}
