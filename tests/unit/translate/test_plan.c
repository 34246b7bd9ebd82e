/* Manifests that do not compile: what is said, where, and what to do about it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/translate/answer_fixture.h"

#define TOP                                                                                                            \
    "id: d/r\n"                                                                                                        \
    "format: {class: interface, type: xml}\n"                                                                          \
    "items: [{name: a, type: C}, {name: l, type: list, items: [{name: b, type: D}]}]\n"                                \
    "connector: {kind: http, endpoint: 'http://x.example/'}\n"                                                         \
    "request: {params: []}\n"                                                                                          \
    "response:\n"
#define MAP "  map: {a: a, l: {at: l, map: {b: .}}}\n"

static const struct {
    const char *yaml, *en, *zh; /* en NULL: compiles; else both texts hold this */
} rows[] = {
    { TOP "  records: /x/y\n" MAP, NULL, NULL },
    { TOP "  records: '/x[@k=\"v\"][3]/y'\n" MAP, NULL, NULL },
    { TOP "  empty: ok\n  unknown: drop\n  records: /x/y\n" MAP, NULL, NULL },
    { "id: d/r\nformat: {type: xml}\nitems: []\n", "response is missing", "缺少 response" },
    { TOP "  records: x/y\n" MAP, "7:12: path \"x/y\": begin with /", "请以 / 开头" },
    { TOP "  records: /\n" MAP, "a name is missing", "此处应为名称" },
    { TOP "  records: //y\n" MAP, "without * // ..", "不支持 *、//、.." },
    { TOP "  records: /x/*\n" MAP, "without * // ..", "不支持" },
    { TOP "  records: /x/../y\n" MAP, "without * // ..", "不支持" },
    { TOP "  records: /p:x/y\n" MAP, "prefix \"p\" is not declared; add it under response.namespaces",
      "前缀 \"p\" 未声明" },
    { TOP "  records: /p:/y\n" MAP, "a name is missing after the prefix", "前缀之后缺少名称" },
    { TOP "  records: /x/@y\n" MAP, "records are elements", "记录须为元素" },
    { TOP "  records: '/x[0]/y'\n" MAP, "write [1], [2]", "请写作 [1]" },
    { TOP "  records: '/x[1][@k=\"v\"]/y'\n" MAP, "at most one [@name='value'] and then one [n]", "至多一个" },
    { TOP "  records: '/x[@k=v]/y'\n" MAP, "needs quotes", "须加引号" },
    { TOP "  records: '/x[@k]/y'\n" MAP, "write the predicate as [@name='value']", "谓词请写作" },
    { TOP "  records: '/x[@k=\"v\"/y'\n" MAP, "the predicate does not end", "谓词未结束" },
    { TOP "  records: [x]\n" MAP, "a path is expected here", "此处应为路径文本" },
    { TOP "  recods: /x/y\n" MAP, "records", "records" },
    { TOP "  page: {}\n  records: /x/y\n" MAP, "page", "page" },
    { TOP "  encoding: GB2312\n  records: /x/y\n" MAP, NULL, NULL },
    { TOP "  encoding: Big5\n  records: /x/y\n" MAP, "7:13: Big5 is no encoding that is read here; write UTF-8",
      "不支持字符集 Big5；请写 UTF-8 或 GB18030" },
    { TOP "  unknown: keep\n  records: /x/y\n" MAP, "unknown", "unknown" },
    { TOP "  records: /x/y\n  map: {a: a}\n", "item \"l\" has no path; add \"l: path\" to the map",
      "数据项 \"l\" 没有路径" },
    { TOP "  records: /x/y\n  map: {a: a, z: z, l: {at: l, map: {b: .}}}\n", "8:15: \"z\" is not an item",
      "\"z\" 不是数据项" },
    { TOP "  records: /x/y\n  map: {a: /x/y/a, l: {at: l, map: {b: .}}}\n", "relative to the record", "相对于记录" },
    { TOP "  records: /x/y\n  map: {a: a, l: l}\n", "is a list; write {at: PATH, map: {item: path}}", "为列表" },
    { TOP "  records: /x/y\n  map: {a: a, l: {at: ., map: {b: b}}}\n", "need a path of their own", "须有自己的路径" },
    { TOP "  records: /x/y\n  map: {a: a, l: {at: l, map: {b: @}}}\n", "", "" },
    { TOP "  records: /x/y\n  map: {a: a/@b/c, l: {at: l, map: {b: b}}}\n", "nothing may follow an attribute",
      "属性之后" },
    { TOP "  records: /x/y\n  map: {a: l, l: {at: l/k, map: {b: b}}}\n",
      "the text of \"l\" is mapped, and so are elements inside it", "不能同时映射" },
    { TOP "  nested: /x\n  records: /x/y\n" MAP, "is nested: paths into it begin anew", "内嵌文档" },
    { TOP "  nested: [/x/@y]\n  records: /x/y\n" MAP, "name an element whose text is a document", "文本为文档" },
    { TOP "  success: {at: /x/c}\n  records: /x/y\n" MAP, "success.at needs success.ok", "须写 success.ok" },
    { TOP "  success: {ok: ['1']}\n  records: /x/y\n" MAP, "success needs at", "缺少 at" },
    { TOP "  success: {at: /x/c, ok: ['1'], not_found: ['1']}\n  records: /x/y\n" MAP, "is both ok and not_found",
      "不能既为" },
    { TOP "  success: {status: [99]}\n  records: /x/y\n" MAP, "HTTP statuses from 200 to 599", "HTTP 状态码" },
    { TOP "  success: {status: 404}\n  records: /x/y\n" MAP, "write a list of HTTP statuses", "状态码列表" },
    { TOP "  format: json\n  records: x\n  map: {a: a, l: {at: l, map: {b: b}}}\n", "begin with /, as in /data/rows",
      "/data/rows" },
    { TOP "  format: json\n  records: /x~2\n  map: {a: a, l: {at: l, map: {b: b}}}\n", "write ~0 for ~", "~0" },
    { TOP "  format: json\n  nested: /x\n  records: /x\n  map: {a: a, l: {at: l, map: {b: b}}}\n",
      "from XML answers only", "仅 XML" },
    { TOP "  format: json\n  records: /data/0/rows\n  map: {a: x~1y, l: {at: ~1~0/1, map: {b: .}}}\n", NULL, NULL },
    { "id: d/r\nformat: {class: interface, type: other}\nitems: []\nrequest: {params: []}\nresponse:\n  records: "
      "/x/y\n  map: {}\n",
      "whether the provider answers XML or JSON is not said", "未说明提供方返回 XML 还是 JSON" },
    { "id: d/r\nformat: {type: xml}\nitems: [{name: a, type: Z}]\nresponse: {records: /x/y, map: {a: a}}\n",
      "unknown type 'Z'", "未知类型" },
    { "id: d/r\nformat: {type: xml}\nitems: [{name: a, type: C, mask: half}]\nresponse: {records: /x/y, map: {a: a}}\n",
      "unknown mask \"half\"", "未知脱敏规则" },
    { "id: d/r\nformat: {type: xml}\nitems: [{name: a, type: I, mask: name}]\nresponse: {records: /x/y, map: {a: a}}\n",
      "only items of type C or M can be masked", "可脱敏" },
    { "id: d/r\nformat: {type: xml}\nitems: [{name: a, type: D, format_in: [ddMM]}]\nresponse: {records: /x/y, map: "
      "{a: a}}\n",
      "format \"ddMM\" is not understood", "无法识别格式" },
    { "id: d/r\nformat: {type: xml}\nitems: [{name: a b, type: C}]\nresponse: {records: /x/y, map: {a b: a}}\n",
      "cannot name an XML element", "不能用作 XML 元素名" },
};

static unsigned wrong;
#define complain(...) (wrong++, print_error(__VA_ARGS__))

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer f;
        struct buf zh = BUF_INIT(1 << 20);
        enum err e = answer_compile(&f, rows[i].yaml);
        f.diags.file = (struct slice){ NULL, 0 };
        diags_print(&f.diags, LANG_EN, &f.out);
        diags_print(&f.diags, LANG_ZH, &zh);
        buf_putc(&f.out, 0);
        buf_putc(&zh, 0);
        if (rows[i].en == NULL && e != ERR_OK)
            complain("row %zu does not compile: %s\n", i, f.out.p);
        if (rows[i].en != NULL && e == ERR_OK)
            complain("row %zu compiles: %s\n", i, rows[i].yaml);
        if (rows[i].en != NULL && (strstr(f.out.p, rows[i].en) == NULL || strstr(zh.p, rows[i].zh) == NULL))
            complain("row %zu: want \"%s\" / \"%s\" in\n%s%s", i, rows[i].en, rows[i].zh, f.out.p, zh.p);
        buf_done(&zh);
        answer_done(&f);
    }
    assert_int_equal(wrong, 0);
}

/* Everything wrong at once, not one thing a try. */
static void test_all_at_once(void **state)
{
    struct answer f;

    (void)state;
    assert_int_not_equal(answer_compile(&f, TOP "  success: {at: c, ok: ['1']}\n  nested: [x, '/y[']\n  records: z\n"
                                                "  map: {a: '@', l: {at: l, map: {b: p:b}}}\n"),
                         ERR_OK);
    assert_true(f.diags.count >= 4);
    answer_done(&f);
}

static const struct {
    const char *name, *in, *out;
} masks[] = {
    { "name", "", "" },
    { "name", "张", "*" },
    { "name", "张三", "张*" },
    { "name", "王小明", "王*明" },
    { "name", "欧阳小明", "欧**明" },
    { "name", "𠮷䶮", "𠮷*" },
    { "id-card", "99010119900101123X", "990101********123X" },
    { "id-card", "1234567890", "**********" },
    { "id-card", "12345678901", "123456*8901" },
    { "id-card", "", "" },
    { "none", "abc", "***" },
    /* blanks around a value move nothing: E12345678 in a field of CHAR(11), and of CHAR(18) */
    { "id-card", "E12345678  ", "*********  " },
    { "id-card", "E12345678         ", "*********         " },
    { "id-card", " 99010119900101123X\t", " 990101********123X\t" },
    { "id-card", "\u3000E12345678\u2007\u200b\ufeff", "\u3000*********\u2007\u200b\ufeff" },
    { "name", "张三 ", "张* " },
    { "name", "\u00a0张", "\u00a0*" },
    { "name", "王小明\u3000", "王*明\u3000" },
    { "name", "  ", "**" },
    /* nor do those inside make it long enough */
    { "name", "张 三", "张**" },
    { "name", "张\u200b三", "张**" },
    /* or what is written upon another character: the form that a font is to take, an accent, a filler */
    { "name", "张\U000e0100三", "张**" },
    { "name", "张\ufe00三", "张**" },
    { "name", "张三\U000e01ef", "张*\U000e01ef" },
    { "name", "张\u180b三", "张**" },
    { "name", "O\u0301B", "O**" },
    { "name", "张\u3164三", "张**" },
    { "name", "王\U000e0100小明", "王**明" },
    { "id-card", "E12345678\u20dd\u20dd\u034f", "*********\u20dd\u20dd\u034f" },
    { "id-card", "E1234 56789", "***********" },
    { "id-card", "990101 19900101 123X", "990101**********123X" },
    { "name", "买买提·艾力", "买****力" },
    { "none", " abc ", "*****" },
};

static void test_masks(void **state)
{
    struct buf out = BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        buf_clear(&out);
        translate_mask(slice_of(masks[i].name), slice_of(masks[i].in), &out);
        if (!slice_is(buf_slice(&out), masks[i].out))
            fail_msg("%s of %s: %.*s", masks[i].name, masks[i].in, SLICE_ARG(buf_slice(&out)));
    }
    assert_true(translate_mask_known(SLICE("name")) && translate_mask_known(SLICE("id-card")) &&
                !translate_mask_known(SLICE("none")));
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_refusals), cmocka_unit_test(test_all_at_once),
                                        cmocka_unit_test(test_masks) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
