/* The set-up that the tests of the catalog share; see shelf.h. */
#include "shelf.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

const char shelf_sketch[] =
    "kind: Resource\n"
    "id: public-security/household\n"
    "code: 101001/1\n"
    "title: {zh: 户籍信息, en: Household register}\n"
    "abstract: 全市常住户口登记项目\n"
    "class: base/population\n"
    "format: {class: interface, type: soap}\n"
    "share: {type: conditional, condition: 法定事项核查, mode: interface}\n"
    "open: none\n"
    "update: daily\n"
    "contact: {person: public-security/zhang, phone: 0543-0000000}\n"
    "items:\n"
    "  - {name: id_no, title: 公民身份号码, type: C, length: 18, level: 4, key: true, mask: id-card, check: id-card}\n"
    "  - {name: name, title: 姓名, type: C, length: 50, level: 3, mask: name}\n"
    "  - {name: moved_in, title: 迁入日期, type: D, format_in: [yyyyMMdd], empty_as: ['00000000']}\n"
    "  - {name: members, title: 家庭成员, type: list, items: [{name: relation, type: C, length: 2}]}\n"
    "connector:\n"
    "  kind: soap\n"
    "  endpoint: https://hukou.example:7443/service\n"
    "  operation: {namespace: 'urn:hukou', name: QueryPerson, soap: '1.1'}\n"
    "  tls: {mode: mutual, identity: gateway, trust: providers}\n"
    "  timeout: 5s\n"
    "  limits: {in_flight: 8, rate: 20/s, queue: 2s}\n"
    "request:\n"
    "  safe: true\n"
    "  encoding: UTF-8\n"
    "  params:\n"
    "    - {param: id_no, required: true, check: id-card, to: '/h:QueryPerson/h:sfzh'}\n"
    "    - {const: '01', to: '/h:QueryPerson/h:type'}\n"
    "    - {from: operator, to: 'header:X-User'}\n"
    "response:\n"
    "  namespaces: {h: 'urn:hukou'}\n"
    "  nested: [/h:QueryPersonResponse/h:return]\n"
    "  success: {at: /PACKAGE/HEAD/CODE, ok: ['0000'], not_found: ['0001'], message: /PACKAGE/HEAD/MSG}\n"
    "  records: /PACKAGE/DATA/RECORD\n"
    "  map: {id_no: '@SFZH', name: XM, moved_in: QRRQ, members: {at: CY/R, map: {relation: '@GX'}}}\n"
    "  unknown: drop\n";

int shelf_open(void **state)
{
    struct shelf *s = mem_zalloc(sizeof *s);

    if (s == NULL)
        return -1;
    clock_set_zone(480);
    arena_init(&s->a, (size_t)64 << 20);
    diags_init(&s->d, &s->a);
    *state = s;
    return 0;
}

int shelf_open_store(void **state)
{
    if (shelf_open(state) != 0)
        return -1;
    struct shelf *s = *state;
    snprintf(s->dir, sizeof s->dir, "/tmp/sluice-catalog-XXXXXX");
    if (mkdtemp(s->dir) == NULL)
        return -1;
    snprintf(s->path, sizeof s->path, "%s/state.db", s->dir);
    if (sql_open(s->path, &s->sql, &s->d) != ERR_OK ||
        sql_migrate(s->sql, "catalog", catalog_migrations, catalog_migrations_n, &s->d) != ERR_OK ||
        sql_begin(s->sql, true, &s->tx, &s->d) != ERR_OK) {
        print_error("%s", shelf_problems(s));
        return -1;
    }
    return 0;
}

int shelf_close(void **state)
{
    static const char *const tails[] = { "", "-wal", "-shm", "-journal", ".lock" };
    struct shelf *s = *state;
    char path[128];

    if (s->sql != NULL) {
        sql_rollback(s->tx);
        sql_close(s->sql);
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
            snprintf(path, sizeof path, "%s%s", s->path, tails[i]);
            unlink(path);
        }
        rmdir(s->dir);
    }
    arena_done(&s->a);
    mem_free(s);
    return 0;
}

const char *shelf_sketch_with(struct shelf *s, const char *from, const char *to)
{
    const char *at = strstr(shelf_sketch, from);

    if (at == NULL)
        fail_msg("the sketch has no \"%s\"", from);
    return arena_printf(&s->a, "%.*s%s%s", (int)(at - shelf_sketch), shelf_sketch, to, at + strlen(from));
}

const char *shelf_department(struct shelf *s, const char *id, unsigned n)
{
    static const char digits[] = "0123456789ABCDEFGHJKLMNPQRTUWXY";
    char code[19];

    snprintf(code, sizeof code, "11371600%09uX", n % 1000000000u);
    for (unsigned i = 0; i < sizeof digits - 1; i++) {
        code[17] = digits[i];
        if (check_find(SLICE("uscc"))->ok(slice_of(code)))
            break;
    }
    return arena_printf(&s->a, "kind: Department\nid: %s\ntitle: %s\ncode: '%s'\n", id, id, code);
}

enum err shelf_read(struct shelf *s, const char *yaml, struct catalog_manifest *m)
{
    const struct doc *list = NULL;

    assert_non_null(yaml);
    diags_init(&s->d, &s->a);
    if (doc_read_yaml(slice_of(yaml), &s->a, &s->d, &list) != ERR_OK)
        fail_msg("the test's YAML is wrong: %s\n%s", shelf_problems(s), yaml);
    return catalog_read(list->first, &s->a, &s->d, m);
}

enum err shelf_try(struct shelf *s, const char *yaml, enum catalog_put *put, uint64_t *version)
{
    struct catalog_manifest m;

    if (shelf_read(s, yaml, &m) != ERR_OK)
        fail_msg("%s\n%s", shelf_problems(s), yaml);
    return catalog_put(s->tx, &m, SLICE("bureau/system"), 1000, put, version, &s->d);
}

enum catalog_put shelf_put(struct shelf *s, const char *yaml)
{
    enum catalog_put put = CATALOG_UNCHANGED;
    uint64_t version;

    if (shelf_try(s, yaml, &put, &version) != ERR_OK)
        fail_msg("%s (%s)\n%s", shelf_problems(s), sql_error(s->tx), yaml);
    return put;
}

bool shelf_said(const struct shelf *s, const char *part)
{
    for (const struct diag *one = s->d.first; one; one = one->next)
        if (strstr(one->what[LANG_EN], part))
            return true;
    return false;
}

const char *shelf_problems(struct shelf *s)
{
    struct buf text = BUF_INIT(1 << 20);

    diags_print(&s->d, LANG_EN, &text);
    const char *copy = arena_str(&s->a, buf_slice(&text));
    buf_done(&text);
    return copy ? copy : "";
}
