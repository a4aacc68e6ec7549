/* SPDX-License-Identifier: MIT */

#include "varlink/interface.h"

#include "unit.h"

DEFINE_CLEANUP(VarlinkInterface, varlink_interface_free);

static const char example[] =
        "# What this is.\n"
        "interface org.example.things-1\n"
        "\n"
        "# Lost: a blank line follows.\n"
        "\n"
        "# One of\n"
        "# three.\n"
        "type Colour (red, green, blue)\n"
        "type Thing (\n"
        "  name: string, # inside\n"
        "  colour: ?Colour,\n"
        "  sizes: []?int,\n"
        "  parts: [string]Thing,\n"
        "  more: ?(weight: float, raw: object, ok: bool)\n"
        ")\n"
        "method Find(name: string) -> (things: []Thing)\n"
        "method Ping() -> ()\n"
        "error NotFound (name: string)\n";

static VarlinkInterface *parse(const char *text)
{
        VarlinkInterface *interface = NULL;
        char error[128];

        if (varlink_interface_new(&interface, slice_of(text), error, sizeof(error)) < 0)
                fail_msg("%s", error);
        return interface;
}

static void members_are_found_by_name(void **state UNUSED)
{
        AUTO(varlink_interface_free) VarlinkInterface *i = parse(example);
        const VarlinkMember *find;

        assert_true(slice_is(i->name, "org.example.things-1"));
        assert_true(slice_is(i->text, example));
        assert_int_equal(i->n_types, 2);
        assert_int_equal(i->n_methods, 2);
        assert_int_equal(i->n_errors, 1);
        find = varlink_find(i->methods, i->n_methods, SLICE("Find"));
        assert_ptr_equal(find, &i->methods[0]);
        assert_true(slice_is(find->in->fields[0].name, "name"));
        assert_int_equal(find->out->fields[0].value.type->kind, VARLINK_ARRAY);
        assert_null(varlink_find(i->methods, i->n_methods, SLICE("NotFound")));
        assert_null(i->errors[0].out);
}

static void types_are_what_the_file_says(void **state UNUSED)
{
        AUTO(varlink_interface_free) VarlinkInterface *i = parse(example);
        const VarlinkType *colour = i->types[0].in, *thing = i->types[1].in;
        const VarlinkField *f = thing->fields;

        assert_int_equal(colour->kind, VARLINK_ENUM);
        assert_int_equal(colour->n_values, 3);
        assert_true(slice_is(colour->values[2], "blue"));
        assert_int_equal(thing->n_fields, 5);
        assert_int_equal(f[0].value.type->kind, VARLINK_STRING);
        assert_false(f[0].value.nullable);
        assert_ptr_equal(f[1].value.type, colour);
        assert_true(f[1].value.nullable);
        assert_false(f[2].value.nullable);
        assert_true(f[2].value.type->element.nullable);
        assert_int_equal(f[2].value.type->element.type->kind, VARLINK_INT);
        assert_int_equal(f[3].value.type->kind, VARLINK_MAP);
        assert_ptr_equal(f[3].value.type->element.type, thing);
        assert_int_equal(f[4].value.type->kind, VARLINK_STRUCT);
        assert_int_equal(f[4].value.type->fields[0].value.type->kind, VARLINK_FLOAT);
        assert_int_equal(f[4].value.type->fields[1].value.type->kind, VARLINK_OBJECT);
        assert_int_equal(f[4].value.type->fields[2].value.type->kind, VARLINK_BOOL);
}

static void a_comment_belongs_to_what_stands_right_below(void **state UNUSED)
{
        AUTO(varlink_interface_free) VarlinkInterface *i = parse(example);

        assert_true(slice_is(i->types[0].comment, "# One of\n# three."));
        assert_int_equal(i->types[1].comment.len, 0);
}

static void a_fault_is_told_with_its_line(void **state UNUSED)
{
        static const struct {
                const char *text, *error;
        } cases[] = {
                { "", "line 1: expected 'interface'" },
                { "\n\ninterfaces a.b", "line 3: expected 'interface'" },
                { "interface ab", "line 1: expected an interface name like org.example.name" },
                { "interface a.b.", "line 1: expected an interface name like org.example.name" },
                { "interface 1a.b", "line 1: expected an interface name like org.example.name" },
                { "interface a.b\nmethods M() -> ()",
                  "line 2: expected 'type', 'method' or 'error'" },
                { "interface a.b\nmethod m() -> ()",
                  "line 2: expected a name that starts with a capital letter" },
                { "interface a.b\nmethod M()\n()", "line 3: expected '->'" },
                { "interface a.b\nmethod M(a, b) -> ()",
                  "line 2: expected fields like (name: type)" },
                { "interface a.b\nerror E (a: int", "line 2: expected ')'" },
                { "interface a.b\nerror E (_a: int)", "line 2: expected the name of a field" },
                { "interface a.b\nerror E (a_: int)", "line 2: expected the name of a field" },
                { "interface a.b\nerror E (a: integer)", "line 2: expected a type" },
                { "interface a.b\nerror E (a: ??int)", "line 2: expected a type" },
                { "interface a.b\n\nerror E (a: T)", "line 3: type 'T' is not defined" },
                { "interface a.b\ntype T ()\ntype T ()", "line 3: type 'T' is defined twice" },
                { "interface a.b\nerror T ()\nerror T ()", "line 3: 'T' is defined twice" },
                { "interface a.b\ntype T (a: int,\na: int)", "line 3: field 'a' is there twice" },
                { "interface a.b\ntype T (a, b, a)", "line 2: value 'a' is there twice" },
        };

        for (size_t i = 0; i < ELEMENTS(cases); i++) {
                VarlinkInterface *interface = NULL;
                char error[128];

                CHECK(varlink_interface_new(&interface, slice_of(cases[i].text), error,
                                            sizeof(error)) == -EINVAL,
                      cases[i].text);
                CHECK(!interface, cases[i].text);
                assert_string_equal(error, cases[i].error);
        }
}

static int parse_deep(int depth)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        AUTO(varlink_interface_free) VarlinkInterface *interface = NULL;
        char error[128];

        buffer_append_literal(&b, "interface a.b\ntype T (a: ");
        for (int i = 1; i < depth; i++)
                buffer_append_literal(&b, "[]");
        buffer_append_literal(&b, "int)\n");
        return varlink_interface_new(&interface, buffer_slice(&b), error, sizeof(error));
}

static void nesting_has_a_limit(void **state UNUSED)
{
        assert_int_equal(parse_deep(32), 0);
        assert_int_equal(parse_deep(33), -EINVAL);
}

static int parse_fields(int n)
{
        AUTO(buffer_fini) Buffer b = BUFFER_INIT;
        AUTO(varlink_interface_free) VarlinkInterface *interface = NULL;
        char error[128];

        buffer_append_literal(&b, "interface a.b\ntype T (f0: int");
        for (int i = 1; i < n; i++)
                buffer_printf(&b, ", f%d: int", i);
        buffer_append_literal(&b, ")\n");
        return varlink_interface_new(&interface, buffer_slice(&b), error, sizeof(error));
}

static void a_struct_has_at_most_64_fields(void **state UNUSED)
{
        assert_int_equal(parse_fields(VARLINK_MAX_FIELDS), 0);
        assert_int_equal(parse_fields(VARLINK_MAX_FIELDS + 1), -EINVAL);
}

static void the_text_need_not_outlive_the_call(void **state UNUSED)
{
        AUTO(varlink_interface_free) VarlinkInterface *i = NULL;
        char error[128], *text = strdup(example);

        assert_non_null(text);
        assert_int_equal(varlink_interface_new(&i, slice_of(text), error, sizeof(error)), 0);
        memset(text, 'x', strlen(text));
        free(text);
        assert_true(slice_is(i->text, example));
        assert_true(slice_is(i->methods[0].name, "Find"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(members_are_found_by_name),
                cmocka_unit_test(types_are_what_the_file_says),
                cmocka_unit_test(a_comment_belongs_to_what_stands_right_below),
                cmocka_unit_test(a_fault_is_told_with_its_line),
                cmocka_unit_test(nesting_has_a_limit),
                cmocka_unit_test(a_struct_has_at_most_64_fields),
                cmocka_unit_test(the_text_need_not_outlive_the_call),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
