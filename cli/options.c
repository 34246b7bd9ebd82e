/* The options of the commands, shared where they mean the same. */
#include "cli/options.h"

#define END                                                                                                            \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }
#define PARAM_OPTION                                                                                                   \
    {                                                                                                                  \
        "param", 'p', "NAME=VALUE", NULL, OPT_MANY,                                                                    \
        {                                                                                                              \
            "a parameter; NAME=@FILE takes it from a file, @- from the standard input",                                \
                "参数；名称=@文件 表示取自文件，@- 取自标准输入"                                   \
        }                                                                                                              \
    }
#define ASKING_OPTIONS                                                                                                 \
    { "items", 0, "A,B", NULL, 0, { "only these of the granted items", "仅取所授权数据项中的这些" } },                 \
        { "purpose", 0, "CODE", NULL, 0, { "purpose", "用途" } },                                                      \
        { "grant", 0, "ID", NULL, 0, { "needed when several match", "有多个授权匹配时指明" } },                        \
        { "case", 0, "NUMBER", NULL, 0, { "case number, recorded", "办件号，将存证" } },                               \
        { "operator", 0, "ACCOUNT", NULL, 0, { "operator, recorded", "操作员，将存证" } },                             \
    {                                                                                                                  \
        "accept", 0, "TYPE", NULL, 0,                                                                                  \
        {                                                                                                              \
            "application/json, application/x-ndjson, application/xml",                                                 \
                "application/json、application/x-ndjson、application/xml"                                            \
        }                                                                                                              \
    }
#define SM2_OPTION                                                                                                     \
    {                                                                                                                  \
        "sm2-vkey", 0, "KEY|FILE", NULL, 0,                                                                            \
        {                                                                                                              \
            "its SM2 key: the checkpoint must be signed by that too (log.sm2.vkey)",                                   \
                "日志的 SM2 公钥（log.sm2.vkey）：检查点须另有其签名"                                 \
        }                                                                                                              \
    }
#define WITNESS_OPTIONS                                                                                                \
    { "witness",                                                                                                       \
      0,                                                                                                               \
      "KEY|FILE",                                                                                                      \
      NULL,                                                                                                            \
      OPT_MANY,                                                                                                        \
      { "a witness whose cosignature counts; without enough of them it is pending (exit code 7)",                      \
        "计入联署的见证公钥；联署不足即为待见证（退出码 7）" } },                                                      \
    {                                                                                                                  \
        "quorum", 0, "N", NULL, 0,                                                                                     \
        {                                                                                                              \
            "so many of the witnesses must have signed; else all", "须联署的见证数，默认全部"              \
        }                                                                                                              \
    }
#define NOTE_TEXT                                                                                                      \
    {                                                                                                                  \
        "why; kept in the record", "理由，将存证"                                                                \
    }

const struct option cli_global_options[] = {
    { "context", 0, "NAME", NULL, OPT_GLOBAL, { "a context of ~/.config/sluice/config.yaml", "使用指定上下文" } },
    { "server", 0, "URL", NULL, OPT_GLOBAL, { "control listener, https://HOST:PORT", "管理地址 https://主机:端口" } },
    { "data-server", 0, "URL", NULL, OPT_GLOBAL, { "data listener, https://HOST:PORT", "数据地址 https://主机:端口" } },
    { "ca", 0, "FILE", NULL, OPT_GLOBAL, { "authority of the server's certificate", "服务端证书的签发机构" } },
    { "cert", 0, "FILE", NULL, OPT_GLOBAL, { "your certificate", "本人证书" } },
    { "key", 0, "FILE", NULL, OPT_GLOBAL, { "its private key, mode 0600", "对应私钥，权限 0600" } },
    { "output",
      'o',
      "FORM",
      NULL,
      OPT_GLOBAL,
      { "table, wide, json, yaml, csv or name", "输出格式：table、wide、json、yaml、csv、name" } },
    { "lang",
      0,
      "LANG",
      NULL,
      OPT_GLOBAL,
      { "zh or en; else LC_ALL, LC_MESSAGES, LANG", "zh 或 en；默认依次取 LC_ALL、LC_MESSAGES、LANG" } },
    { "verbose", 'v', NULL, NULL, OPT_GLOBAL, { "show the heads of requests and answers", "显示请求与响应头" } },
    { "version", 0, NULL, NULL, OPT_GLOBAL, { "print the version", "显示版本" } },
    { "help", 'h', NULL, NULL, OPT_GLOBAL, { "this help", "显示帮助" } },
    END,
};

const struct option options_list[] = {
    { "department", 0, "ID", "department", 0, { "only of this department", "仅限该部门" } },
    { "state", 0, "STATE", "state", 0, { "only in this state", "仅限该状态" } },
    { "text", 'q', "TEXT", "q", 0, { "part of an id or a title", "标识或名称中的文字" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_list_resources[] = {
    { "department", 0, "ID", "department", 0, { "only of this department", "仅限该部门" } },
    { "state",
      0,
      "STATE",
      "state",
      0,
      { "draft, submitted, published, suspended, retired", "draft、submitted、published、suspended、retired" } },
    { "text", 'q', "TEXT", "q", 0, { "part of an id or a title", "标识或名称中的文字" } },
    { "all-versions", 0, NULL, "all_versions", 0, { "every version, not the newest only", "列出所有版本" } },
    { "weak",
      0,
      NULL,
      "weak",
      0,
      { "those whose provider is reached without mutual TLS", "仅列与提供方之间未启用双向 TLS 的资源" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_list_policies[] = {
    { "state", 0, "STATE", "state", 0, { "registered, active, replaced", "registered、active、replaced" } },
    { "all-versions", 0, NULL, "all_versions", 0, { "every version, not the newest only", "列出所有版本" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_policy_version[] = {
    { "policy-version", 0, "N", "version", 0, { "this version; default: the newest", "指定版本，默认最新" } },
    END,
};
const struct option options_list_requests[] = {
    { "state",
      0,
      "STATE",
      "state",
      0,
      { "open, granted, rejected, returned, withdrawn", "open、granted、rejected、returned、withdrawn" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_list_grants[] = {
    { "app", 0, "ID", "app", 0, { "only of this application", "仅限该应用" } },
    { "resource", 0, "ID", "resource", 0, { "only of this resource", "仅限该数据资源" } },
    { "department", 0, "ID", "department", 0, { "only of this consumer department", "仅限该使用方部门" } },
    { "provider", 0, "ID", "provider", 0, { "only of this provider department", "仅限该提供方部门" } },
    { "state",
      0,
      "STATE",
      "state",
      0,
      { "active, suspended, revoked, returned, expired", "active、suspended、revoked、returned、expired" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_list_certs[] = {
    { "subject", 0, "ID|URI", "subject", 0, { "only of this application or person", "仅限该应用或人员" } },
    { "limit", 0, "N", "limit", 0, { "at most so many, 1 to 1000", "最多条数，1 至 1000" } },
    { "offset", 0, "N", "offset", 0, { "leave out the first N", "跳过前 N 条" } },
    END,
};
const struct option options_version[] = {
    { "resource-version", 0, "N", "version", 0, { "this version; else the newest", "指定版本；默认最新" } },
    END,
};
const struct option options_note_required[] = {
    { "note", 0, "TEXT", NULL, OPT_REQUIRED, NOTE_TEXT },
    END,
};
#define PART_ROW                                                                                                       \
    {                                                                                                                  \
        "part", 0, "N", NULL, 0,                                                                                       \
        {                                                                                                              \
            "this part only, as `request show` counts them", "仅第 N 部分（见 request show）"                   \
        }                                                                                                              \
    }
const struct option options_decide[] = {
    { "note", 0, "TEXT", NULL, 0, NOTE_TEXT },
    PART_ROW,
    END,
};
const struct option options_decide_noted[] = {
    { "note", 0, "TEXT", NULL, OPT_REQUIRED, NOTE_TEXT },
    PART_ROW,
    END,
};
const struct option options_apply[] = {
    { "file",
      'f',
      "FILE|DIR",
      NULL,
      OPT_MANY | OPT_REQUIRED,
      { "manifests: a file, a folder, or - for the standard input", "清单文件、目录，或 - 表示标准输入" } },
    { "dry-run", 0, NULL, NULL, 0, { "check only, store nothing", "仅检查，不保存" } },
    END,
};
const struct option options_request[] = {
    { "file",
      'f',
      "FILE",
      NULL,
      0,
      { "the request as YAML: the same fields as the API", "YAML 申请文件，字段同接口" } },
    { "app", 0, "ID", NULL, 0, { "the application that will ask", "使用数据的应用" } },
    { "resource",
      0,
      "RESOURCE",
      NULL,
      OPT_MANY,
      { "DEPARTMENT/RESOURCE[@VERSION]:ITEM,ITEM", "部门/资源[@版本]:数据项,数据项" } },
    { "clear",
      0,
      "RESOURCE",
      NULL,
      OPT_MANY,
      { "items to have unmasked, DEPARTMENT/RESOURCE:ITEM", "申请不脱敏的数据项，部门/资源:数据项" } },
    { "purpose", 0, "CODE", NULL, OPT_MANY, { "a purpose code", "用途代码" } },
    { "basis", 0, "TEXT", NULL, 0, { "legal basis", "依据" } },
    { "scenario", 0, "TEXT", NULL, 0, { "what it is for", "应用场景" } },
    { "from", 0, "DATE", NULL, 0, { "first day", "起始日期" } },
    { "to", 0, "DATE", NULL, 0, { "last day", "截止日期" } },
    { "hours", 0, "HH:MM-HH:MM", NULL, 0, { "hours of the day", "每日时段" } },
    { "weekdays", 0, "1,2,…", NULL, 0, { "days of the week, 1 is Monday", "星期，1 为周一" } },
    { "expires", 0, "TIME", NULL, 0, { "moment it ends, RFC 3339", "到期时刻，RFC 3339" } },
    { "max-rows", 0, "N", NULL, 0, { "rows of one answer at most", "单次响应最大行数" } },
    END,
};
const struct option options_cert_request[] = {
    { "key-out",
      0,
      "FILE",
      NULL,
      OPT_REQUIRED,
      { "the new private key, mode 0600; never overwritten", "新私钥文件，权限 0600，不覆盖已有文件" } },
    { "csr", 0, "FILE", NULL, OPT_REQUIRED, { "the certificate request", "证书申请文件" } },
    { "name", 0, "TEXT", NULL, 0, { "common name, for people to read", "通用名，仅供阅读" } },
    END,
};
const struct option options_cert_sign[] = {
    { "app", 0, "ID", NULL, 0, { "sign for this application", "为该应用签发" } },
    { "person", 0, "ID", NULL, 0, { "sign for this person", "为该人员签发" } },
    { "csr", 0, "FILE", NULL, OPT_REQUIRED, { "the certificate request, or -", "证书申请文件，或 -" } },
    { "days", 0, "N", NULL, 0, { "1 to 366; default 365", "有效天数，1 至 366；默认 365" } },
    { "out", 0, "FILE", NULL, 0, { "write the certificate there", "证书输出文件" } },
    END,
};
const struct option options_cert_enrol[] = {
    { "app", 0, "ID", NULL, 0, { "the application that holds it", "持有该证书的应用" } },
    { "person", 0, "ID", NULL, 0, { "the person who holds it", "持有该证书的人员" } },
    { "certificate",
      0,
      "FILE",
      NULL,
      OPT_REQUIRED,
      { "the certificate, PEM, or -; intermediate ones may follow", "证书文件（PEM），或 -；其后可附中间证书" } },
    { "digest",
      0,
      "SHA256",
      NULL,
      0,
      { "its SHA-256 as the holder told it; refused when it is another", "持有人告知的证书 SHA-256；不一致则拒绝" } },
    { "days",
      0,
      "N",
      NULL,
      0,
      { "1 to 366, at most until the certificate ends; default 365",
        "有效天数，1 至 366，不超过证书有效期；默认 365" } },
    END,
};
const struct option options_cert_renew[] = {
    { "days", 0, "N", NULL, 0, { "1 to 366; default 365", "有效天数，1 至 366；默认 365" } },
    END,
};
const struct option options_reason[] = {
    { "reason", 0, "TEXT", NULL, OPT_REQUIRED, { "why; kept in the record", "原因，将存证" } },
    END,
};
const struct option options_out[] = {
    { "out", 0, "FILE", NULL, 0, { "write it there", "输出文件" } },
    END,
};
const struct option options_checkpoint[] = {
    { "out", 0, "FILE", NULL, 0, { "write it there", "输出文件" } },
    { "witnessed",
      0,
      NULL,
      NULL,
      0,
      { "the newest that the quorum of witnesses has co-signed", "获取已达见证法定数的最新检查点" } },
    END,
};
#define SEARCH_ROWS                                                                                                     \
    { "subject", 0, "URI", NULL, 0, { "who asked, spiffe://…", "主体 spiffe://…" } },                                   \
        { "who", 0, "ID", NULL, 0, { "the same as department/name", "主体：部门/名称" } },                              \
        { "department", 0, "ID", NULL, 0, { "department that asked, or whose resource it is", "请求方或提供方部门" } }, \
        { "item", 0, "NAME", NULL, 0, { "item", "数据项" } },                                                           \
        { "result",                                                                                                     \
          0,                                                                                                            \
          "RESULT",                                                                                                     \
          NULL,                                                                                                         \
          0,                                                                                                            \
          { "granted, refused, failed, cut, interrupted, running",                                                      \
            "granted、refused、failed、cut、interrupted、running" } },                                                  \
        { "verb", 0, "VERB",                                                                                            \
          NULL,   0, { "act: grant.revoke, request.approve, …", "治理行为：grant.revoke、request.approve 等" } },       \
        { "object", 0, "ID", NULL, 0, { "what an act was done to", "治理行为的对象" } },                                \
        { "resource", 0, "ID", NULL, 0, { "data resource", "数据资源" } },                                              \
        { "grant", 0, "ID", NULL, 0, { "grant", "授权" } },                                                             \
        { "reason", 0, "CODE", NULL, 0, { "granted, no-grant, revoked, …", "granted、no-grant、revoked 等" } },         \
        { "kind",                                                                                                       \
          0,                                                                                                            \
          "KIND",                                                                                                       \
          NULL,                                                                                                         \
          0,                                                                                                            \
          { "refused, intent, progress, outcome, cut, act, count, gap",                                                 \
            "refused、intent、progress、outcome、cut、act、count、gap" } },                                             \
        { "operator", 0, "ACCOUNT", NULL, 0, { "operator at the consumer", "使用方操作员" } },                          \
        { "case", 0, "NUMBER", NULL, 0, { "case number", "办件号" } },                                                  \
        { "purpose", 0, "CODE", NULL, 0, { "purpose", "用途" } },                                                       \
        { "person", 0, "VALUE",                                                                                         \
          NULL,     0, { "-: a person's identifier, read from the standard input", "-：从标准输入读取人员标识值" } },   \
        { "exchange", 0, "UUID", NULL, 0, { "one exchange", "交换编号" } },                                             \
        { "from", 0, "TIME", NULL, 0, { "not before; a date or RFC 3339", "起始时间（日期或 RFC 3339）" } },            \
    {                                                                                                                   \
        "to", 0, "TIME", NULL, 0,                                                                                       \
        {                                                                                                               \
            "before; a date or RFC 3339", "截止时间（日期或 RFC 3339）"                                        \
        }                                                                                                               \
    }
#define BOM                                                                                                            \
    {                                                                                                                  \
        "bom", 0, NULL, NULL, 0,                                                                                       \
        {                                                                                                              \
            "CSV begins with a byte order mark, which some spreadsheets need",                                         \
                "CSV 以字节序标记开头，部分电子表格软件需要"                                        \
        }                                                                                                              \
    }
const struct option options_search[] = {
    SEARCH_ROWS,
    { "limit", 0, "N", NULL, 0, { "at most so many, 1 to 1000; default 100", "最多条数，1 至 1000；默认 100" } },
    { "after", 0, "INDEX", NULL, 0, { "go on behind this index", "从该序号之后继续" } },
    { "oldest-first", 0, NULL, NULL, 0, { "in the order of the log; else newest first", "按日志顺序；默认由新到旧" } },
    BOM,
    END,
};
const struct option options_hold[] = {
    { "from", 0, "TIME", NULL, 0, { "records from here on; else all", "自此时间起的记录；缺省为全部" } },
    { "reason", 0, "TEXT", NULL, 0, NOTE_TEXT },
    END,
};
const struct option options_index[] = {
    { "check", 0, NULL, NULL, 0, { "read the whole log and compare", "通读日志并比对" } },
    { "rebuild", 0, NULL, NULL, 0, { "build it anew from the log", "由日志重建" } },
    END,
};
const struct option options_export[] = {
    SEARCH_ROWS,
    { "proofs",
      0,
      NULL,
      NULL,
      0,
      { "each record with its proof, for who has no access to the log", "附每条记录的证明，供无法访问日志者核验" } },
    { "csv",
      0,
      NULL,
      NULL,
      0,
      { "one line an exchange or act, for a spreadsheet", "每次交换或治理行为一行，供电子表格使用" } },
    BOM,
    { "after", 0, "INDEX", NULL, 0, { "begin behind this index", "从该序号之后开始" } },
    END,
};
const struct option options_verify[] = {
    { "vkey",
      0,
      "KEY|FILE",
      NULL,
      0,
      { "the log's public key as kept elsewhere; else log.vkey beside it",
        "另行保存的日志公钥；默认使用日志目录中的 log.vkey" } },
    { "from", 0, "INDEX", NULL, 0, { "only records from this index on", "仅核验该序号起的记录" } },
    { "to", 0, "INDEX", NULL, 0, { "and below this index", "至该序号之前" } },
    { "checkpoint",
      0,
      "FILE",
      NULL,
      0,
      { "a checkpoint that you kept: does the log continue it?", "您另存的检查点：日志是否为其延续" } },
    { "out",
      0,
      "DIR",
      NULL,
      0,
      { "with a URL: keep the copy that was fetched there", "核验网址时：保留所取副本的目录" } },
    SM2_OPTION,
    WITNESS_OPTIONS,
    END,
};
const struct option options_verify_export[] = {
    { "vkey",
      0,
      "KEY|FILE",
      NULL,
      0,
      { "the log's public key; without it only that the records hang together is checked",
        "日志公钥；缺省时仅核验记录相互一致" } },
    SM2_OPTION,
    END,
};
const struct option options_witness[] = {
    { "dir", 0, "DIR", NULL, OPT_REQUIRED, { "its key and what it has seen", "见证密钥与已见检查点所在目录" } },
    { "log",
      0,
      "KEY|FILE",
      NULL,
      OPT_REQUIRED | OPT_MANY,
      { "public key of a log that it signs for (log.vkey)", "所见证日志的公钥（log.vkey）" } },
    { "listen", 0, "ADDRESS:PORT", NULL, 0, { "else 127.0.0.1:8444", "默认 127.0.0.1:8444" } },
    { "client-ca",
      0,
      "DOMAIN=FILE",
      NULL,
      OPT_MANY,
      { "answer only gateways of this trust domain, with a certificate of this authority",
        "仅答复持该机构证书的该信任域网关" } },
    END,
};
const struct option options_witness_init[] = {
    { "dir", 0, "DIR", NULL, OPT_REQUIRED, { "where", "存放目录" } },
    { "name",
      0,
      "NAME",
      NULL,
      OPT_REQUIRED,
      { "as it will sign: audit.city.example/w1", "署名，如 audit.city.example/w1" } },
    END,
};
const struct option options_proof[] = {
    { "vkey", 0, "KEY|FILE", NULL, 0, { "the log's public key as you keep it", "您保存的日志公钥" } },
    { "answer",
      0,
      "FILE",
      NULL,
      0,
      { "the answer as it was received: is it what was handed out?", "收到的答复：是否即为交付的内容" } },
    { "sent",
      0,
      "FILE",
      NULL,
      0,
      { "what the provider sent: is it what came? (provider, auditor)",
        "提供方发出的内容：是否即为收到的内容（提供方、审计员）" } },
    { "upload",
      0,
      "FILE",
      NULL,
      0,
      { "the file that the consumer sent: is it what was handed to the provider?",
        "使用方发送的文件：是否即为转交提供方的内容" } },
    { "receipt",
      0,
      "TEXT",
      NULL,
      0,
      { "the answer's Sluice-Receipt: finds records that are far apart",
        "答复的 Sluice-Receipt：用于查找相隔很远的记录" } },
    { "out", 0, "FILE", NULL, 0, { "save the proof there", "将证明保存为文件" } },
    SM2_OPTION,
    WITNESS_OPTIONS,
    END,
};
const struct option options_exchange_get[] = {
    PARAM_OPTION,
    ASKING_OPTIONS,
    END,
};
const struct option options_exchange_post[] = {
    PARAM_OPTION,
    { "body",
      0,
      "FILE",
      NULL,
      0,
      { "a JSON object of parameters from a file, or -; instead of -p and --items",
        "JSON 参数文件，或 -；代替 -p 与 --items" } },
    ASKING_OPTIONS,
    END,
};
const struct option options_init[] = {
    { "dir", 0, "DIR", NULL, OPT_REQUIRED, { "the new node's folder", "新节点目录" } },
    { "node", 0, "NAME", NULL, OPT_REQUIRED, { "name of the gateway", "网关节点名" } },
    { "trust-domain",
      0,
      "DOMAIN",
      NULL,
      OPT_REQUIRED,
      { "domain of all names in certificates", "证书名称所属信任域" } },
    { "listen",
      0,
      "ADDRESS",
      NULL,
      0,
      { "of data and control listener; default 127.0.0.1", "数据与管理监听地址；默认 127.0.0.1" } },
    { "data-port", 0, "PORT", NULL, 0, { "default 8443", "默认 8443" } },
    { "control-port", 0, "PORT", NULL, 0, { "default 9443", "默认 9443" } },
    { "operations-port", 0, "PORT", NULL, 0, { "default 9464, loopback only", "默认 9464，仅回环地址" } },
    { "names",
      0,
      "NAME,IP",
      NULL,
      0,
      { "DNS names and addresses of the gateway; default localhost,127.0.0.1,::1",
        "网关的域名与地址；默认 localhost,127.0.0.1,::1" } },
    { "bureau",
      0,
      "ID=TITLE",
      NULL,
      0,
      { "the data bureau's department; default bureau", "大数据主管部门；默认 bureau" } },
    { "bureau-code",
      0,
      "CODE",
      NULL,
      0,
      { "its unified social credit code; else a placeholder", "其统一社会信用代码；缺省为占位代码" } },
    { "admin",
      0,
      "ROLE=ID[:CSR]",
      NULL,
      OPT_MANY,
      { "system, security or audit administrator: DEPARTMENT/PERSON and a certificate request; without one a key is "
        "made",
        "system、security 或 audit 管理员：部门/人员 与证书申请文件；不给申请文件则代为生成密钥" } },
    END,
};
