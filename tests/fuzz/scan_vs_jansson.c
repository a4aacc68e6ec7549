/* SPDX-License-Identifier: MIT */

/* The scanner and jansson accept the same objects, and find the same values in them.
 *
 * One thing they do not agree on: jansson 2.14 loses a NUL that follows a number or a word. No JSON
 * has a NUL byte, so with one in the text the scanner alone is asked, and has to refuse. */

#include "base/macros.h"
#include "compare.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static VarlinkScan scan; /* reused, as in a daemon */
        Slice text = { (const char *)data, size };
        bool nul = size && memchr(data, '\0', size);
        json_t *json = nul ? NULL : json_loadb(text.data, size, JSON_REJECT_DUPLICATES, NULL);
        int r = varlink_scan_object(&scan, text);

        ASSERT(r >= 0);
        ASSERT((r == 0) == json_is_object(json));
        if (r == 0) {
                VarlinkCursor c;
                uint32_t none;

                varlink_cursor_init(&c, &scan, text);
                ASSERT(varlink_cursor_node(&c, 1, &none) == 0);
                varlink_cursor_space(&c);
                compare_value(&c, json);
                varlink_cursor_space(&c);
                ASSERT(c.at == c.end);
        }
        json_decref(json);
        return 0;
}
