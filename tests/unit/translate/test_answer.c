/* Whole answers: (manifest, provider's bytes) to (consumer's bytes, reason). Each row is fed whole, byte by byte and in
 * threes, and must come out the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/unit/translate/answer_fixture.h"

static const char household[] =
    "id: public-security/household\n"
    "format: {class: interface, type: soap}\n"
    "items:\n"
    "  - {name: id_no, type: C, length: 18, mask: id-card}\n"
    "  - {name: name, type: C, length: 50, mask: name}\n"
    "  - {name: moved_in, type: D, format_in: [yyyyMMdd], empty_as: ['00000000']}\n"
    "  - {name: members, type: list, items: [{name: relation, type: C, length: 2}, {name: who, type: C, mask: name}]}\n"
    "connector:\n"
    "  kind: soap\n"
    "  endpoint: https://hukou.example:7443/service\n"
    "  operation: {namespace: 'urn:hukou', name: QueryPerson, soap: '1.1'}\n"
    "request:\n"
    "  params: [{param: id_no, required: true, to: '/h:QueryPerson/h:sfzh'}]\n"
    "response:\n"
    "  namespaces: {h: 'urn:hukou'}\n"
    "  nested: [/h:QueryPersonResponse/h:return]\n"
    "  success: {at: /PACKAGE/HEAD/CODE, ok: ['0000'], not_found: ['0001'], message: /PACKAGE/HEAD/MSG}\n"
    "  records: /PACKAGE/DATA/RECORD\n"
    "  map: {id_no: '@SFZH', name: XM, moved_in: QRRQ, members: {at: CY/R, map: {relation: '@GX', who: .}}}\n"
    "  unknown: drop\n";

static const char plain[] = "id: land/property\n"
                            "format: {class: interface, type: xml}\n"
                            "items:\n"
                            "  - {name: c, type: C, length: 4}\n"
                            "  - {name: m, type: M}\n"
                            "  - {name: n, type: N}\n"
                            "  - {name: d, type: D}\n"
                            "  - {name: t, type: T}\n"
                            "  - {name: l, type: L}\n"
                            "  - {name: g, type: G}\n"
                            "  - {name: i, type: I}\n"
                            "  - {name: f, type: F}\n"
                            "  - {name: k, type: C, codes: ['1', '2'], empty_as: ['9']}\n"
                            "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                            "request: {params: []}\n"
                            "response:\n"
                            "  records: /a/r\n"
                            "  map: {c: c, m: m, n: n, d: d, t: t, l: l, g: g, i: i, f: f, k: k}\n";

static const char picks[] =
    "id: land/picks\n"
    "format: {class: interface, type: xml}\n"
    "items: [{name: a, type: C}, {name: b, type: C}, {name: c, type: C}, {name: d, type: C}, {name: e, type: C}]\n"
    "connector: {kind: http, endpoint: 'http://x.example/'}\n"
    "request: {params: []}\n"
    "response:\n"
    "  namespaces: {p: 'urn:p'}\n"
    "  success: {at: '/p:r/@code', ok: ['1'], not_found: ['2']}\n"
    "  records: '/p:r/p:rec[@t=''x'']'\n"
    "  map: {a: 'f[@k=''a'']', b: 'f[@k=''b'']/@v', c: 'g[2]', d: 'f[@k=''a''][2]', e: '@p:id'}\n";

static const char permits[] = "id: public-security/permit\n"
                              "format: {class: interface, type: json}\n"
                              "items:\n"
                              "  - {name: no, type: C}\n"
                              "  - {name: since, type: D}\n"
                              "  - {name: amount, type: Y}\n"
                              "  - {name: big, type: I}\n"
                              "  - {name: phones, type: list, items: [{name: number, type: C}]}\n"
                              "  - {name: owners, type: list, items: [{name: name, type: C, mask: name}, {name: "
                              "shares, type: list, items: [{name: part, type: N}]}]}\n"
                              "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                              "request: {params: []}\n"
                              "response:\n"
                              "  success: {at: /code, ok: ['0'], not_found: ['404']}\n"
                              "  records: /data/rows\n"
                              "  map:\n"
                              "    no: no\n"
                              "    since: info/since\n"
                              "    amount: /amount\n"
                              "    big: big\n"
                              "    phones: {at: phones, map: {number: .}}\n"
                              "    owners: {at: owners, map: {name: name, shares: {at: s, map: {part: p/0}}}}\n";

/* What its bytes are is said outright. */
#define TOLD(type, encoding, records)                                                                                  \
    "id: d/told\nformat: {class: interface, type: " type "}\nitems: [{name: c, type: C}]\n"                            \
    "connector: {kind: http, endpoint: 'http://x.example/'}\nrequest: {params: []}\n"                                  \
    "response: {encoding: " encoding ", records: " records ", map: {c: c}}\n"
static const char told_gb[] = TOLD("xml", "GBK", "/a/r"), told_utf8[] = TOLD("xml", "utf-8", "/a/r"),
                  json_gb[] = TOLD("json", "GB18030", "/r"), json_utf8[] = TOLD("json", "UTF-8", "/r");
static const char single[] = "id: d/single\n"
                             "format: {class: interface, type: json}\n"
                             "items: [{name: a, type: C}]\n"
                             "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                             "request: {params: []}\n"
                             "response:\n"
                             "  success: {at: /code, ok: ['0'], not_found: ['1'], status: [404]}\n"
                             "  records: ''\n"
                             "  map: {a: a}\n";

static const char lenient[] = "id: d/lenient\n"
                              "format: {class: interface, type: xml}\n"
                              "items: [{name: a, type: C}]\n"
                              "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                              "request: {params: []}\n"
                              "response: {empty: ok, records: /x/y/z, map: {a: '@a'}}\n";

/* One element is two nodes: one that is always meant and has the code, one that waits for its predicate. */
static const char coded_rows[] = "id: d/rows\n"
                                 "format: {class: interface, type: xml}\n"
                                 "items:\n"
                                 "  - {name: note, type: C}\n"
                                 "  - {name: id_no, type: C, length: 18, mask: id-card}\n"
                                 "  - {name: name, type: C, mask: name}\n"
                                 "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                                 "request: {params: []}\n"
                                 "response:\n"
                                 "  success: {at: '/data/row/@code', ok: ['0']}\n"
                                 "  records: '/data/row[@t=''p'']'\n"
                                 "  map: {note: '@note', id_no: '@id', name: xm}\n";
#define CODED_ROW(attrs) "<data><row " attrs "><xm>张三丰</xm></row></data>"
#define CODED_NOTE       "note='hello of eighteen c'"
#define CODED_ID         "id='99990119900101002X'"
#define CODED_OUT        "{\"note\":\"hello of eighteen c\",\"id_no\":\"999901********002X\",\"name\":\"张*丰\"}\n"

static const char padded[] = "id: d/padded\n"
                             "format: {class: interface, type: json}\n"
                             "items: [{name: no, type: C, length: 18, mask: id-card}]\n"
                             "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                             "request: {params: []}\n"
                             "response: {records: /rows, map: {no: no}}\n";

static const char shapes[] =
    "id: d/shapes\n"
    "format: {class: interface, type: json}\n"
    "items:\n"
    "  - {name: a, type: C}\n"
    "  - {name: d, type: D}\n"
    "  - {name: l, type: list, items: [{name: s, type: C}]}\n"
    "  - {name: m, type: list, items: [{name: t, type: C}]}\n"
    "connector: {kind: http, endpoint: 'http://x.example/'}\n"
    "request: {params: []}\n"
    "response: {records: /rows, map: {a: a, d: o/d, l: {at: l, map: {s: .}}, m: {at: m, map: {t: t}}}}\n";
#define SHAPE(members)        "{\"rows\":[{" members "}]}"
#define SHAPED(values, lists) "{" values "," lists "}\n"
#define NO_LISTS              "\"l\":[],\"m\":[]"
#define NULLS                 "\"a\":null,\"d\":null"

#define PACKAGE_TEXT(code)                                                                                             \
    "&lt;?xml version='1.0' encoding='GB2312'?>&lt;PACKAGE>&lt;HEAD>&lt;CODE>" code                                    \
    "&lt;/CODE>&lt;/HEAD>&lt;DATA/>&lt;/PACKAGE>"
#define SOAP(body)                                                                                                     \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope "                                                           \
    "xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Header><x/>"                                             \
    "</s:Header><s:Body>" body "</s:Body></s:Envelope>"
#define RETURN(text)                                                                                                   \
    SOAP("<q:QueryPersonResponse xmlns:q=\"urn:hukou\"><q:return>" text "</q:return></q:QueryPersonResponse>")
#define PACKAGE(code, data)                                                                                            \
    "<?xml version=\"1.0\" encoding=\"GB2312\"?>\n<PACKAGE><HEAD><CODE>" code "</CODE><MSG>x</MSG></HEAD>" data        \
    "</PACKAGE>"
#define CDATA(text) "<![CDATA[" text "]]>"
#define HEAD_H      "{\"resource\":\"public-security/household\",\"records\":["
#define HEAD_P      "{\"resource\":\"land/property\",\"records\":["
#define HEAD_K      "{\"resource\":\"land/picks\",\"records\":["
#define HEAD_J      "{\"resource\":\"public-security/permit\",\"records\":["
#define R(fields)   "<a><r>" fields "</r></a>"

struct row {
    const char *manifest, *in, *out; /* out: NULL when it must fail */
    enum reason reason;
    enum translate_form form;
    int status;       /* 0: 200 */
    const char *type; /* NULL: none */
    uint64_t unwanted, clear;
    unsigned findings;
    const char *code;
    const char *place; /* begins with */
};

/* Columns left out are zero. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
static const struct row rows[] = {
    /* nested documents: CDATA, escaped, with white space and a lying label */
    { household,
      RETURN(
          CDATA(PACKAGE("0000", "<DATA><RECORD SFZH=\"99010119900101123X\"><XM>王小明</XM><QRRQ>20240229</QRRQ><CY><R "
                                "GX=\"01\">李四</R><R GX=\"02\"/></CY><X>secret</X></RECORD></DATA>"))),
      HEAD_H "{\"id_no\":\"990101********123X\",\"name\":\"王*明\",\"moved_in\":\"2024-02-29\",\"members\":[{"
             "\"relation\":\"01\",\"who\":"
             "\"李*\"},{\"relation\":\"02\",\"who\":\"\"}]}],\"count\":1}",
      .code = "0000" },
    { household,
      RETURN("\r\n  &lt;?xml version='1.0' encoding=\"GBK\"?&gt;&lt;PACKAGE&gt;&lt;HEAD&gt;&lt;CODE&gt; 0000 "
             "&lt;/CODE&gt;&lt;/HEAD&gt;"
             "&lt;DATA&gt;&lt;RECORD "
             "SFZH='1'&gt;&lt;XM&gt;\xe4\xb6\xae\xf0\xa0\xae\xb7&amp;amp;&lt;/XM&gt;&lt;QRRQ&gt;00000000&lt;/QRRQ&gt;"
             "&lt;/RECORD&gt;&lt;/DATA&gt;&lt;/PACKAGE&gt;"),
      HEAD_H
      "{\"id_no\":\"*\",\"name\":\"\xe4\xb6\xae\xf0\xa0\xae\xb7&\",\"moved_in\":null,\"members\":[]}],\"count\":1}",
      .clear = 2, .code = "0000" },
    { household, RETURN(CDATA(PACKAGE("0000", "<DATA/>"))), HEAD_H "],\"count\":0}" },
    { household, RETURN(CDATA(PACKAGE("0001", ""))), HEAD_H "],\"count\":0}", .code = "0001" },
    { household,
      RETURN(CDATA(PACKAGE("0000", "<DATA><RECORD SFZH='1'><XM>a</XM></RECORD><RECORD><XM/></RECORD></DATA>"))),
      "<answer xmlns=\"urn:sluice:public-security:household:1\"><record><id_no>1</id_no><members></members></record>"
      "<record><members></members></record><count>2</count></answer>",
      .form = TRANSLATE_XML, .unwanted = 2, .clear = 1 },
    { household,
      RETURN(CDATA(PACKAGE(
          "0000", "<DATA><RECORD><XM>a&lt;]]</XM><CY><R GX='1'/></CY></RECORD><RECORD><XM>b</XM></RECORD></DATA>"))),
      "{\"name\":\"a<]]\",\"members\":[{\"relation\":\"1\",\"who\":\"\"}]}\n{\"name\":\"b\",\"members\":[]}\n",
      .form = TRANSLATE_NDJSON, .clear = 2 },
    /* failures are never empty answers */
    { household, RETURN(CDATA(PACKAGE("9999", "<DATA/>"))), NULL, REASON_PROVIDER_REFUSED, .code = "9999",
      .place = "/Envelope/Body/QueryPersonResponse/return!/PACKAGE/HEAD/CODE @" },
    { household, RETURN(CDATA(PACKAGE("0000", ""))), NULL, REASON_PROVIDER_MALFORMED },
    { household, RETURN(CDATA("<PACKAGE><DATA/></PACKAGE>")), NULL, REASON_PROVIDER_MALFORMED },
    { household, RETURN(""), NULL, REASON_PROVIDER_MALFORMED },
    { household, RETURN(CDATA("<PACKAGE><HEAD>")), NULL, REASON_PROVIDER_MALFORMED },
    { household, RETURN(CDATA(PACKAGE("0001", "<DATA><RECORD/></DATA>"))), NULL, REASON_PROVIDER_MALFORMED },
    { household, SOAP("<s:Fault><faultcode>s:Server</faultcode><faultstring>x</faultstring></s:Fault>"), NULL,
      REASON_PROVIDER_REFUSED, .status = 500, .code = "Server" },
    { household, SOAP("<s:Fault><faultcode>s:Client.Auth</faultcode></s:Fault>"), NULL, REASON_PROVIDER_REFUSED,
      .code = "Client.Auth" },
    { household,
      "<e:Envelope "
      "xmlns:e=\"http://www.w3.org/2003/05/soap-envelope\"><e:Body><e:Fault><e:Code><e:Value>e:Receiver</e:Value></"
      "e:Code>"
      "</e:Fault></e:Body></e:Envelope>",
      NULL, REASON_PROVIDER_REFUSED, .code = "Receiver" },
    { household, SOAP("<s:Fault><faultcode>99010119900101123X</faultcode></s:Fault>"), NULL, REASON_PROVIDER_REFUSED },
    { household, "<html><body>Error</body></html>", NULL, REASON_PROVIDER_MALFORMED },
    { household, "<p>1</p>", NULL, REASON_PROVIDER_MALFORMED, .type = "text/html; charset=GBK" },
    { household, "<html>", NULL, REASON_PROVIDER_REFUSED, .status = 503, .type = "text/html" },
    { household, SOAP("<html/>"), NULL, REASON_PROVIDER_MALFORMED },
    { household, "", NULL, REASON_PROVIDER_MALFORMED },
    { household, "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>", NULL, REASON_PROVIDER_MALFORMED },
    { household, RETURN(CDATA("<!DOCTYPE a><PACKAGE/>")), NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r/>&unknown;</a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r/></a><a/>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><c x=\"<![CDATA[1]]>\">1</c></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><c <![CDATA[]]>>1</c></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><x:c>1</x:c></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a/><![CDATA[x]]>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><m><![CDATA[\x01]]></m></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><m><![CDATA[\xff]]></m></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><m><![CDATA[\xe4\xb8]]></m></r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><r><m>x<![CDATA[", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<ERROR><CODE>1</CODE></ERROR>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a>system error</a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><![CDATA[E]]><!-- --></a>", NULL, REASON_PROVIDER_MALFORMED },
    /* a record by another name is no empty answer; what stands beside records, and an empty list's numbers, are none */
    { household, RETURN(CDATA(PACKAGE("0000", "<DATA><ROW SFZH='1'><XM>a</XM></ROW></DATA>"))), NULL,
      REASON_PROVIDER_MALFORMED },
    { household, RETURN(CDATA(PACKAGE("0001", "<DATA><PAGE><NO>1</NO></PAGE></DATA>"))), HEAD_H "],\"count\":0}",
      .code = "0001" },
    { plain, "<a><R><c>1</c></R></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><x:r xmlns:x='urn:x'><c>1</c></x:r></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><error><code>1</code></error></a>", NULL, REASON_PROVIDER_MALFORMED },
    { plain, "<a><total>0</total><page n='1'/></a>", HEAD_P "],\"count\":0}" },
    { plain, "<a><page><n>1</n></page><r/></a>", HEAD_P "{}],\"count\":1}" },
    { plain, "<a> <r/>x</a>", HEAD_P "{}],\"count\":1}" },
    { plain, "<a> \n<![CDATA[ ]]></a>", HEAD_P "],\"count\":0}" },
    { plain, "<a/>", HEAD_P "],\"count\":0}" },
    { plain, "<a/>", NULL, REASON_PROVIDER_REFUSED, .status = 404 },
    { plain, "<a/>", HEAD_P "],\"count\":0}", .status = 201 },
    /* types */
    /* what the zone takes out of the years that have four digits, or near their ends, is no time */
    { plain, R("<t>9999-12-31T23:59:59Z</t>"), HEAD_P "{\"t\":null}],\"count\":1}", .findings = 1 },
    { plain, R("<t>0000-01-01T00:00:00+14:00</t>"), HEAD_P "{\"t\":null}],\"count\":1}", .findings = 1 },
    { plain, R("<t>9999-12-31T23:59:59+08:00</t>"), HEAD_P "{\"t\":\"9999-12-31T23:59:59+08:00\"}],\"count\":1}" },
    { plain, R("<t>9998-12-31T23:59:59Z</t>"), HEAD_P "{\"t\":\"9999-01-01T07:59:59+08:00\"}],\"count\":1}" },
    { plain,
      R("<c>ab</c><m> a\tb </m><n> 007.50 </n><d>20240229</d><t>2024-02-29 01:02:03.50</t><l>是</l><g>AQ "
        "ID\n</g><i>+007</i><f>.5</f><k>2</k>"),
      HEAD_P "{\"c\":\"ab\",\"m\":\" a\\tb "
             "\",\"n\":\"007.50\",\"d\":\"2024-02-29\",\"t\":\"2024-02-29T01:02:03.5+08:00\",\"l\":true,\"g\":\"AQID\","
             "\"i\":7,\"f\":"
             "0.5,\"k\":\"2\"}],\"count\":1}" },
    { plain, R("<c/><m></m><n/><d/><t/><l/><g/><i/><f/><k/>"),
      HEAD_P "{\"c\":\"\",\"m\":\"\",\"n\":null,\"d\":null,\"t\":null,\"l\":null,\"g\":\"\",\"i\":null,\"f\":null,"
             "\"k\":\"\"}],\"count\":1}" },
    { plain, R(""), HEAD_P "{}],\"count\":1}" },
    { plain, R("<c>abcde</c><n>1e3</n><d>20240230</d><t>x</t><l>2</l><g>A</g><i>1.5</i><f>NaN</f><k>3</k>"),
      HEAD_P "{\"c\":null,\"n\":null,\"d\":null,\"t\":null,\"l\":null,\"g\":null,\"i\":null,\"f\":null,\"k\":null}],"
             "\"count\":1}",
      .findings = 9 },
    { plain,
      R("<c>一二三四</c><n>-1</n><d>2024/3/9</d><t>2024-03-01T00:30:00Z</t><l>N</l><i>9007199254740991</"
        "i><f>-0012.50E+3</f><k>9</k>"),
      HEAD_P "{\"c\":\"一二三四\",\"n\":\"-1\",\"d\":\"2024-03-09\",\"t\":\"2024-03-01T08:30:00+08:00\",\"l\":false,"
             "\"i\":9007199254740991,\"f\":-12.50e+3,\"k\":\"\"}],"
             "\"count\":1}" },
    { plain, R("<d>2024-02-29 00:00:00.0</d><i>9007199254740992</i><n>123456789012345678901234567890.10</n>"),
      HEAD_P
      "{\"n\":\"123456789012345678901234567890.10\",\"d\":\"2024-02-29\",\"i\":\"9007199254740992\"}],\"count\":1}" },
    { plain, R("<d>2024-02-29 00:00:01</d><i>-0</i>"), HEAD_P "{\"d\":null,\"i\":0}],\"count\":1}", .findings = 1 },
    { plain,
      "<a xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'><r><c xsi:nil='true'/><m xsi:nil='1'/><n "
      "xsi:nil='false'>1</n></r></a>",
      HEAD_P "{\"c\":null,\"m\":null,\"n\":\"1\"}],\"count\":1}" },
    { plain, R("<c>1</c><c>2</c><m>a<b/>b</m>"), HEAD_P "{\"c\":null,\"m\":null}],\"count\":1}", .findings = 2 },
    { plain, R("<m>a<![CDATA[<b>&amp;]]]]><![CDATA[>\r\n]]>c<!-- <![CDATA[ --><?p <![CDATA[ ?>d&#13;</m>"),
      HEAD_P "{\"m\":\"a<b>&amp;]]>\\ncd\\r\"}],\"count\":1}" },
    { plain, R("<m>a&lt;&gt;&quot;&amp;\\&#13;</m><i/>"),
      "<answer xmlns=\"urn:sluice:land:property:1\"><record><m>a&lt;&gt;\"&amp;\\&#13;</m><i "
      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
      "xsi:nil=\"true\"/></record><count>1</count></answer>",
      .form = TRANSLATE_XML },
    { plain, "\xEF\xBB\xBF \n<?xml version='1.0'?><a><r><c>1</c></r></a>\n\n", HEAD_P "{\"c\":\"1\"}],\"count\":1}" },
    { plain, R("<z><c>1</c></z><m>2</m>"), HEAD_P "{\"m\":\"2\"}],\"count\":1}" },
    /* a value too short for its mask is masked whole, padded or not; and one that is given clear stays padded */
    { padded, "{\"rows\":[{\"no\":\"E12345678\"},{\"no\":\"E12345678  \"}]}",
      "{\"no\":\"*********\"}\n{\"no\":\"*********  \"}\n", .form = TRANSLATE_NDJSON },
    { padded, "{\"rows\":[{\"no\":\"E12345678  \"}]}", "{\"no\":\"E12345678  \"}\n", .form = TRANSLATE_NDJSON,
      .clear = 1 },
    /* predicates, attributes, namespaces */
    { picks,
      "<r code='1' xmlns='urn:p'><rec t='y'><f xmlns='' k='a'>no</f></rec><rec xmlns:q='urn:p' q:id='7' id='8' "
      "t='x'><f xmlns='' k='a'>1</f>"
      "<f xmlns='' v='v' k='b'/><f xmlns='' k='c'>no</f><f xmlns='' k='a'>2</f><g xmlns=''>g1</g><g xmlns=''>g2</g><g "
      "xmlns=''>g3</g></rec>"
      "<rec t='x'><g xmlns=''>1</g></rec></r>",
      HEAD_K "{\"a\":null,\"b\":\"v\",\"c\":\"g2\",\"d\":\"2\",\"e\":\"7\"},{}],\"count\":2}", .findings = 1 },
    { picks, "<r code='2' xmlns='urn:p'/>", HEAD_K "],\"count\":0}", .code = "2" },
    { picks, "<r code='1' xmlns='urn:q'><rec t='x'/></r>", NULL, REASON_PROVIDER_MALFORMED },
    { picks, "<r code='3' xmlns='urn:p'/>", NULL, REASON_PROVIDER_REFUSED, .code = "3" },
    { picks, "<r xmlns='urn:p'><rec t='x'/></r>", NULL, REASON_PROVIDER_MALFORMED },
    /* attributes that wait for a predicate, beside one that is delivered at once, in whatever order */
    { coded_rows, CODED_ROW("code='0' t='p' " CODED_NOTE " " CODED_ID), CODED_OUT, .form = TRANSLATE_NDJSON },
    { coded_rows, CODED_ROW("t='p' " CODED_NOTE " code='0' " CODED_ID), CODED_OUT, .form = TRANSLATE_NDJSON },
    { coded_rows, CODED_ROW(CODED_NOTE " " CODED_ID " code='0' t='p'"), CODED_OUT, .form = TRANSLATE_NDJSON },
    { coded_rows, CODED_ROW(CODED_NOTE " t='q' code='0'"), "", .form = TRANSLATE_NDJSON },
    /* JSON providers */
    { permits,
      "{\"code\":0,\"data\":{\"rows\":[{\"no\":12345678901234567890,\"info\":{\"since\":\"2020-01-31\"},\"amount\":1."
      "10,\"big\":9007199254740993,"
      "\"phones\":[\"1\",\"2\"],\"owners\":[{\"name\":\"王五\",\"s\":[{\"p\":[\"1\",2]},{\"p\":[]}]},{}]},{\"no\":null,"
      "\"phones\":null}]}}",
      HEAD_J "{\"no\":\"12345678901234567890\",\"since\":\"2020-01-31\",\"amount\":\"1.10\",\"big\":"
             "\"9007199254740993\",\"phones\":[{\"number\":\"1\"},{\"number\":\"2\"}],"
             "\"owners\":[{\"name\":\"王*\",\"shares\":[{\"part\":\"1\"},{}]},{\"shares\":[]}]},{\"no\":null,"
             "\"phones\":[],\"owners\":[]}],\"count\":2}",
      .code = "0" },
    { permits, "{\"data\":{\"rows\":{\"no\":\"1\"}},\"code\":\"0\"}",
      HEAD_J "{\"no\":\"1\",\"phones\":[],\"owners\":[]}],\"count\":1}" },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[]}}", HEAD_J "],\"count\":0}" },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":null}}", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "{\"code\":\"0\",\"data\":{}}", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":\"none\"}}", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "{\"code\":404,\"data\":null}", HEAD_J "],\"count\":0}", .code = "404" },
    { permits, "{\"code\":\"500\",\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_REFUSED, .code = "500" },
    { permits, "{\"code\":\"500\"}", NULL, REASON_PROVIDER_REFUSED, .status = 500, .code = "500" },
    { permits, "{\"code\":null,\"data\":{\"rows\":[]}}", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "[]", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[{\"no\":\"1\"", NULL, REASON_PROVIDER_MALFORMED },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[{\"no\":\"1\"}]},\"code\":\"1\"}", NULL,
      REASON_PROVIDER_MALFORMED },
    { permits, "{\"data\":{\"rows\":[{\"no\":\"1\"}]},\"code\":\"404\"}", NULL, REASON_PROVIDER_MALFORMED,
      .code = "404" },
    { permits, "{\"code\":0,\"data\":{\"rows\":[{\"no\":{\"x\":1},\"big\":\"x\"}]}}",
      HEAD_J "{\"no\":null,\"big\":null,\"phones\":[],\"owners\":[]}],\"count\":1}", .findings = 2 },
    { permits, "{\"code\":0,\"data\":{\"rows\":[{\"no\":\"\\u0001\"}]}}",
      "<answer xmlns=\"urn:sluice:public-security:permit:1\"><record><no "
      "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:nil=\"true\"/>"
      "<phones></phones><owners></owners></record><count>1</count></answer>",
      .form = TRANSLATE_XML, .findings = 1 },
    /* an object or an array where a text should stand is no text, be it empty */
    { shapes, SHAPE("\"a\":{\"x\":1},\"o\":{\"d\":{\"x\":1}}"), SHAPED(NULLS, NO_LISTS), .form = TRANSLATE_NDJSON,
      .findings = 2 },
    { shapes, SHAPE("\"a\":{},\"o\":{\"d\":{}}"), SHAPED(NULLS, NO_LISTS), .form = TRANSLATE_NDJSON, .findings = 2 },
    { shapes, SHAPE("\"a\":{\"x\":[]},\"o\":{\"d\":[[]]}"), SHAPED(NULLS, NO_LISTS), .form = TRANSLATE_NDJSON,
      .findings = 2 },
    { shapes, SHAPE("\"a\":[{}],\"o\":{\"d\":[[[]]]}"), SHAPED(NULLS, NO_LISTS), .form = TRANSLATE_NDJSON,
      .findings = 2 },
    { shapes, SHAPE("\"a\":\"\",\"o\":{\"d\":\"\"}"), SHAPED("\"a\":\"\",\"d\":null", NO_LISTS),
      .form = TRANSLATE_NDJSON },
    { shapes, SHAPE("\"a\":[],\"o\":[]"), "{" NO_LISTS "}\n", .form = TRANSLATE_NDJSON },
    { shapes, SHAPE("\"l\":[{},\"1\",[],\"\"]"),
      "{\"l\":[{\"s\":null},{\"s\":\"1\"},{\"s\":null},{\"s\":\"\"}],\"m\":[]}\n", .form = TRANSLATE_NDJSON,
      .findings = 2 },
    /* an array too many is neither a record nor an entry */
    { shapes, SHAPE("\"m\":[[{\"t\":\"1\"}],{\"t\":\"2\"},[]]"), "{\"l\":[],\"m\":[{\"t\":\"2\"}]}\n",
      .form = TRANSLATE_NDJSON, .findings = 2 },
    { shapes, SHAPE("\"\":[1],\"a\":\"1\",\"m\":[{\"\":[[]]}]"), "{\"a\":\"1\",\"l\":[],\"m\":[{}]}\n",
      .form = TRANSLATE_NDJSON },
    { shapes, "{\"rows\":[[{\"a\":\"1\"}]]}", NULL, REASON_PROVIDER_MALFORMED },
    { shapes, "{\"rows\":[{\"a\":\"1\"},[]]}", NULL, REASON_PROVIDER_MALFORMED },
    { single, "[[{\"code\":\"0\",\"a\":\"1\"}]]", NULL, REASON_PROVIDER_MALFORMED },
    /* transport labels, both ways of lying */
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[{\"no\":\"\xcd\xf5\x95\x34\xb2\x35\"}]}}",
      HEAD_J "{\"no\":\"王𠮷\",\"phones\":[],\"owners\":[]}],\"count\":1}",
      .type = "application/json; charset=\"GBK\"" },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[{\"no\":\"王\"}]}}",
      HEAD_J "{\"no\":\"王\",\"phones\":[],\"owners\":[]}],\"count\":1}", .type = "application/json;charset=GB2312" },
    { permits, "{\"code\":\"0\",\"data\":{\"rows\":[{\"no\":\"\xcd\xf5\"}]}}", NULL, REASON_PROVIDER_MALFORMED },
    { plain, R("<m>\xcd\xf5\xfe\x9f</m>"), HEAD_P "{\"m\":\"王䶮\"}],\"count\":1}", .type = "text/xml; charset=GBK" },
    { plain, R("<m>\xcd\xf5</m>"), NULL, REASON_PROVIDER_MALFORMED, .type = "text/xml; charset=utf-8" },
    /* labels that do not lie, and a name that holds as UTF-8 too */
    { plain, "<?xml version=\"1.0\" encoding=\"GBK\"?>" R("<c>\xd0\xbb\xe8\xa4\xab\x68</c>"),
      HEAD_P "{\"c\":\"谢瑜玥\"}],\"count\":1}", .type = "text/xml; charset=GBK" },
    { single, "{\"code\":\"0\",\"a\":\"\xd0\xbb\xe8\xa4\xab\x68\"}", "{\"a\":\"谢瑜玥\"}\n", .form = TRANSLATE_NDJSON,
      .type = "application/json; charset=GBK" },
    /* behind the declaration the word says nothing */
    { plain, "<?xml version=\"1.0\"?>" R("<x encoding='GBK'/><c>л</c>"), "{\"c\":\"л\"}\n", .form = TRANSLATE_NDJSON },
    { plain, "<?xml version=\"1.0\"?>" R("<x encoding='GBK'/><c>\xd0\xbb\xe8\xa4\xab\x68</c>"), "{\"c\":\"л褫h\"}\n",
      .form = TRANSLATE_NDJSON },
    /* told: no label, no trial, no byte order mark says otherwise */
    { told_gb, R("<c>\xe5\xb5\xbb\xa5</c>"), "{\"c\":\"宓互\"}\n", .form = TRANSLATE_NDJSON },
    { told_gb, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>" R("<c>\xd0\xbb\xe8\xa4\xab\x68</c>"),
      "{\"c\":\"谢瑜玥\"}\n", .form = TRANSLATE_NDJSON, .type = "text/xml; charset=UTF-8" },
    { told_gb, R("<c>\xff</c>"), NULL, REASON_PROVIDER_MALFORMED },
    { told_gb, R("<c>\xe5</c>"), NULL, REASON_PROVIDER_MALFORMED },
    { told_gb, "\xEF\xBB\xBF" R("<c>1</c>"), NULL, REASON_PROVIDER_MALFORMED },
    { json_gb, "{\"r\":[{\"c\":\"\xe5\xb5\xbb\xa5\"}]}", "{\"c\":\"宓互\"}\n", .form = TRANSLATE_NDJSON,
      .type = "application/json; charset=UTF-8" },
    { told_utf8, "<?xml version=\"1.0\" encoding=\"GBK\"?>" R("<c>\xd0\xbb\xe8\xa4\xab\x68</c>"), "{\"c\":\"л褫h\"}\n",
      .form = TRANSLATE_NDJSON, .type = "text/xml; charset=GBK" },
    { told_utf8, "\xEF\xBB\xBF" R("<c>王</c>"), "{\"c\":\"王\"}\n", .form = TRANSLATE_NDJSON },
    { told_utf8, R("<c>\xcd\xf5</c>"), NULL, REASON_PROVIDER_MALFORMED, .type = "text/xml; charset=GBK" },
    { told_utf8, "\xff\xfe<\0a", NULL, REASON_PROVIDER_MALFORMED },
    { json_utf8, "{\"r\":[{\"c\":\"\xd0\xbb\xe8\xa4\xab\x68\"}]}", "{\"c\":\"л褫h\"}\n", .form = TRANSLATE_NDJSON,
      .type = "application/json; charset=GBK" },
    { single, "\xEF\xBB\xBF{\"code\":\"0\",\"a\":\"王\"}", "{\"a\":\"王\"}\n", .form = TRANSLATE_NDJSON },
    { single, "\xEF\xBB{\"code\":\"0\",\"a\":\"1\"}", NULL, REASON_PROVIDER_MALFORMED },
    { single, "\xEF\xBB\xBF", NULL, REASON_PROVIDER_MALFORMED },
    { household, "\xEF\xBB\xBF" RETURN("\xEF\xBB\xBF" PACKAGE_TEXT("0000")), HEAD_H "],\"count\":0}" },
    /* the answer is one record, or says that it is none */
    { single, "{\"code\":\"0\",\"a\":\"1\"}", "{\"resource\":\"d/single\",\"records\":[{\"a\":\"1\"}],\"count\":1}" },
    { single, "{\"a\":null,\"code\":\"1\"}", "{\"resource\":\"d/single\",\"records\":[],\"count\":0}" },
    { single, "[{\"code\":\"0\",\"a\":\"1\"},{\"a\":2}]",
      "{\"resource\":\"d/single\",\"records\":[{\"a\":\"1\"},{\"a\":\"2\"}],\"count\":2}" },
    { single, "[{\"code\":\"1\"},{\"a\":2}]", NULL, REASON_PROVIDER_MALFORMED },
    { single, "[]", NULL, REASON_PROVIDER_MALFORMED },
    { single, "null", NULL, REASON_PROVIDER_MALFORMED },
    { single, "{\"code\":\"1\"}", "{\"resource\":\"d/single\",\"records\":[],\"count\":0}", .status = 404 },
    { single, "{\"code\":\"1\"}", NULL, REASON_PROVIDER_REFUSED, .status = 403, .code = "1" },
    { lenient, "<x/>", "{\"resource\":\"d/lenient\",\"records\":[],\"count\":0}" },
    { lenient, "<x><y><z a='1'/></y></x>", "{\"resource\":\"d/lenient\",\"records\":[{\"a\":\"1\"}],\"count\":1}" },
    { lenient, "<x><y>", NULL, REASON_PROVIDER_MALFORMED },
    { lenient, "<x><y/></x>", "{\"resource\":\"d/lenient\",\"records\":[],\"count\":0}" },
    { lenient, "<x>\n<y>\n<!-- none -->\n</y>\n</x>", "{\"resource\":\"d/lenient\",\"records\":[],\"count\":0}" },
    /* what leaves the records out still begins as the answer does, and has no text where they would be */
    { lenient, "<error>down</error>", NULL, REASON_PROVIDER_MALFORMED },
    { lenient, SOAP("<s:Fault><faultcode>s:Server</faultcode></s:Fault>"), NULL, REASON_PROVIDER_MALFORMED },
    { lenient, "<x><y>system error</y></x>", NULL, REASON_PROVIDER_MALFORMED },
};

static unsigned wrong;

static void complain(const char *where, const char *what, const char *got, const char *want)
{
    wrong++;
    print_error("%s: %s\n  got  %s\n  want %s\n", where, what, got, want);
}

static void check_row(struct answer *f, const struct row *r, size_t index, size_t step)
{
    char where[256], findings[2][32];
    enum err e =
        answer_run(f, slice_of(r->in), step, r->form, r->status ? r->status : 200, r->type, ~r->unwanted, r->clear);
    const struct translate_outcome *o = &f->outcome;
    const char *reason = reason_info(o->reason)->code;

    buf_putc(&f->out, 0);
    snprintf(where, sizeof where, "row %zu, pieces of %zu, %s at %s", index, step, reason, o->place);
    snprintf(findings[0], sizeof findings[0], "%llu", (unsigned long long)o->findings);
    snprintf(findings[1], sizeof findings[1], "%u", r->findings);
    if (r->out != NULL && (e != ERR_OK || strcmp(f->out.p, r->out) != 0))
        complain(where, err_name(e), f->out.p, r->out);
    if (r->out == NULL && (e == ERR_OK || o->reason != r->reason))
        complain(where, f->out.p, reason, reason_info(r->reason)->code);
    if (strcmp(findings[0], findings[1]) != 0)
        complain(where, "findings", findings[0], findings[1]);
    if (r->code != NULL && strcmp(r->code, o->code) != 0)
        complain(where, "code", o->code, r->code);
    if (r->place != NULL && strncmp(r->place, o->place, strlen(r->place)) != 0)
        complain(where, "place", o->place, r->place);
    if (o->settled != (e == ERR_OK))
        complain(where, "settled", o->settled ? "yes" : "no", e == ERR_OK ? "yes" : "no");
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct answer f;
        if (answer_compile(&f, rows[i].manifest) != ERR_OK) {
            diags_print(&f.diags, LANG_EN, &f.out);
            fail_msg("manifest of row %zu: %.*s", i, SLICE_ARG(buf_slice(&f.out)));
        }
        check_row(&f, &rows[i], i, 0);
        check_row(&f, &rows[i], i, 1);
        check_row(&f, &rows[i], i, 3);
        answer_done(&f);
    }
    assert_int_equal(wrong, 0);
}

/* A code behind the records: nothing may be released before it, and nothing at all when it is bad. */
static void test_settled(void **state)
{
    static const struct {
        const char *rest;
        bool settled;
        uint64_t rows;
        enum reason reason;
    } ends[] = { { "],\"code\":\"0\"}", true, 1, REASON_GRANTED },
                 { "],\"code\":\"9\"}", false, 1, REASON_PROVIDER_REFUSED } };
    struct translate_want w = { .form = TRANSLATE_JSON, .items = { 1 } };
    struct answer f;

    (void)state;
    assert_int_equal(answer_compile(&f, "id: d/late\n"
                                        "format: {type: json}\n"
                                        "items: [{name: a, type: C}]\n"
                                        "connector: {kind: http, endpoint: 'http://x.example/'}\n"
                                        "request: {params: []}\n"
                                        "response: {success: {at: /code, ok: ['0']}, records: /rows, map: {a: a}}\n"),
                     ERR_OK);
    for (size_t i = 0; i < 2; i++) {
        struct translate_run *run = NULL;
        buf_clear(&f.out);
        assert_int_equal(translate_open(f.plan, &w, 200, SLICE("application/json"), &f.out, &run), ERR_OK);
        assert_int_equal(translate_feed(run, SLICE("{\"rows\":[{\"a\":\"1\"}")), ERR_OK);
        assert_false(translate_outcome(run)->settled);
        enum err e = translate_feed(run, slice_of(ends[i].rest));
        if (e == ERR_OK)
            e = translate_finish(run);
        assert_int_equal(translate_outcome(run)->settled, ends[i].settled);
        assert_int_equal(translate_outcome(run)->reason, ends[i].reason);
        assert_true(translate_outcome(run)->rows == ends[i].rows);
        assert_int_equal(e == ERR_OK, ends[i].settled);
        (void)translate_close(run);
    }
    answer_done(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_settled) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
