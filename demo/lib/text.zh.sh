# 故事的中文文本；名称与 text.en.sh 相同。%s 依次为各值。
# shellcheck shell=bash disable=SC2034
TEXT=(
    [opening]='数闸（Sluice）立于各部门已有系统之前，不另建平台。下面是运行在您机器上的一座小城，城中人物均为虚
构。这天上午，一个孩子要报名入学，谁也不必拿着纸质证明往返各个窗口。
以 $ 开头的行是实际执行的命令，其后是真实输出。'
    [step1]='建立节点、登记人员、编目资源'
    [step2]='三个提供方系统：部门里本来的样子'
    [step3]='申请与审批'
    [step4]='一次交换'
    [step5]='拒绝：各有各的原因'
    [step6]='提供方回收授权'
    [step7]='审计'
    [bureau]='星河市大数据局'
    [agreed]='同意'
    [agreed_bureau]='依据充分，数据项必要，同意'
    [admission_over]='招生工作结束'

    [go_there]='一切都在一个目录中进行；每个人在命令行中有自己的上下文。'
    [administrators]='三员分立，之上再无他人：系统管理员（li）负责登记，安全管理员（hua）负责激活、授予角色、签发证书，
审计管理员（lin）管理存证日志。各人自己生成密钥，离开本人的只有证书申请。'
    [root_apart]='根证书私钥移出节点，另行保管；日常签发使用其下级机构。'
    [started]='调用公安的系统时，节点信任公安自己的证书机构；其中一个系统所需的口令也只存放在节点的文件里，不进
目录、不进接口、不进日志。网关启动。'
    [registers]='li 登记部门、人员、应用，以及资源所引用的代码表。'
    [separated]='li 只能登记；能否启用，不由 li 决定。'
    [activates]='hua 予以激活，并逐一授予角色。'
    [own_keys]='每个人、每个应用各自生成密钥，由 hua 签发证书。证书中的名称取自登记信息，而不取自申请文件。'
    [own_keys_others]='其余人员与应用同样办理。'
    [resources]='提供方的经办人描述自己的数据资源：有哪些数据项、如何访问、自家 XML 或 JSON 的哪一处对应哪个数据
项。zhang 负责公安的两项，sun 负责不动产。'
    [published]='大数据局的 wang 予以发布。不动产系统只有明文 HTTP：写明理由方可登记，并列为薄弱环节。'

    [providers]='每个系统各有自己的 nginx 与 PHP，不与数闸共用任何代码，查询同一个十万虚构人口的数据库。'
    [provider_household]='户籍（公安）：双向 TLS 上的 SOAP。响应是 XML 里再套一份 XML，标称 GB2312，实为 UTF-8。它只认本网
关的证书。'
    [provider_estate]='不动产登记（自然资源）：明文 HTTP 上的 XML，标称 GBK，字节实为 GB18030。'
    [provider_permit]='居住证（公安）：TLS 上的 JSON，凭口令识别调用方。'

    [requests]='教育局的 zhao 申请入学报名所需的数据项，远少于这些系统所能给出的。申请写明用途、依据和期限。'
    [four_eyes]='zhao 同时也是教育局对外提供数据的经办人。即便如此，也不得审批本人的申请。'
    [approves]='各提供方只审批自己的部分（zhang、sun），再由大数据局（wang）审批。至此才产生授权。'

    [asks_household]='入学报名应用查询孩子的户籍。无论提供方使用何种格式，应用只收发 JSON，且只得到获授权的数据项：姓
名（未获明文授权，故脱敏）、与户主关系（30：女）、户籍地区划代码。'
    [received_household]='户籍系统自己的日志：来访的是网关的证书，并得知背后是哪位教师。'
    [asks_estate]='孩子母亲名下的房产。身份号码以 X 结尾；向不动产系统发出的请求为 GB18030 编码。'
    [asks_nothing]='孩子名下没有房产。空结果是登记系统的明确答复，绝不会是某种故障的伪装。'
    [asks_permit]='孩子自何时居住于本市。口令只出现在发给提供方的请求中，不会出现在数闸的任何应答里。'

    [refuse_no_grant]='1. 民政局的救助核对应用已登记、已激活、有证书，但没有这项授权。'
    [refuse_other]='2. 于是它冒用他人的授权 %s：授权只属于当初获批的那张证书。'
    [refuse_purpose]='3. 入学报名应用，用于未获授权的用途。'
    [refuse_window]='4. 民政局也获得了一项授权，但期限自明天开始。今天为时尚早。'
    [refuse_item]='5. 存在但未获授权的数据项。'
    [refuse_url]='6. 身份号码写在网址里：网址会留在沿途所有的访问日志中。'
    [refuse_stranger]='7. 证书里的名称分毫不差，但签发机构无人认识。'

    [revokes]='招生结束。zhang 回收授权；待网关每个工作线程都确认之后，命令才返回。'
    [revoked]='紧接着的一次调用：'

    [searches]='qian 可以查阅存证日志，但看不到数据。谁查过户籍、凭哪项授权、为何、结果如何？'
    [searches_exchange]='其中那一次的经过：一条意向、一条结果，均在应答完整交出之前落盘。'
    [searches_person]='谁查过这个孩子？检索从标准输入读取号码（不用 echo 时会提示输入，号码便不留在命令历史中）；日志中只有它的化名。'
    [searches_refused]='被拒绝的也都在案，陌生人也不例外。'
    [verifies]='日志不含任何个人信息的值。它是一棵带签名检查点的 Merkle 树；核验无需网关在线，也无需信任其运营者，
只需 qian 另行保存的公钥。'
    [alters]='现在改动副本中的一个字节：第 %s 条记录中的用途 school-admission 变成 school-admissioN。（日志仍
在增长，故先复制检查点。）'

    [closing]='故事讲完了，用时 %s 秒。网关与三个提供方系统仍在运行。'
    [closing_check]='七个步骤全部成立，用时 %s 秒。'
    [addresses]='  数据接口   https://127.0.0.1:%s/x/{部门}/{资源}
  管理接口   https://127.0.0.1:%s/v1
  运维接口   http://127.0.0.1:%s/readyz?verbose
  证书       %s/{people,apps}/名称/{cert,key}.pem
'
    [next]='接下来可以试试这三条命令：'
    [stopping]='停止：%s'

    [expected]='应为'
    [seen]='实为'
    [logs]='日志与其他文件见：%s'
    [more]='……另有 %s 行\n'
    [code]='原因代码'
    [exit_of]='退出码'
    [running]='守护进程运行中'
    [weak]='列表标明薄弱环节'
    [request_id]='申请编号'
    [grants]='授权'
    [answer]='应答（逐字节）'
    [provider_log]='提供方收到的内容'
    [records]='相应的记录'
    [no_value]='日志中的个人信息值'
    [refusals]='在案的拒绝记录'
    [verifier]='核验指明被改动的记录'
    [building]='正在构建'
    [built]='构建用时 %s 秒。\n'
    [build_failed]='构建失败，见 %s\n'
    [port_taken]='端口 %s 已被占用：%s。\n'
    [port_process]='%s，进程 %s'
    [port_user]='用户 %s 的进程'
    [port_other]='请先停止占用者，或另选六个端口：SLUICE_DEMO_PORTS="数据 管理 运维 户籍 不动产 居住证"。\n'
    [busy]='另一个 demo/run 正在 %s 中运行。\n'
)
