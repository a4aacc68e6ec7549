/* SPDX-License-Identifier: MIT */

/* The parser of interface files says yes or why not, and what it has accepted it can be asked for.
 */

#include "varlink/interface.h"

#include <errno.h>
#include <stdint.h>

#include "base/macros.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const VarlinkInterface *interface, const VarlinkMember *members, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                Slice name = members[i].name;

                ASSERT(name.data >= interface->text.data);
                ASSERT(name.data + name.len <= interface->text.data + interface->text.len);
                ASSERT(varlink_find(members, n, name) == &members[i]);
                ASSERT(members[i].in);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        VarlinkInterface *interface = NULL;
        char error[128];
        int r = varlink_interface_new(&interface, (Slice){ (const char *)data, size }, error,
                                      sizeof(error));

        if (r < 0) {
                ASSERT(r == -EINVAL && !interface);
                ASSERT(strncmp(error, "line ", 5) == 0);
                return 0;
        }
        ASSERT(slice_equal(interface->text, (Slice){ (const char *)data, size }));
        look_at(interface, interface->types, interface->n_types);
        look_at(interface, interface->methods, interface->n_methods);
        look_at(interface, interface->errors, interface->n_errors);
        varlink_interface_free(interface);
        return 0;
}
