"""What check says, per key: what is wrong and what to do, in English and Chinese. The fixed codes are not here."""

from __future__ import annotations

from collections.abc import Mapping

from edge.config.texts_links import LINK_TEXTS

_ALL: Mapping[str, tuple[str, str, str, str]] = {
    # ---- the file itself
    "file-unreadable": (
        "cannot read this file: {why}", "check the path and the rights",
        "无法读取此文件：{why}", "请检查路径和权限",
    ),
    "file-large": (
        "the file has {size} bytes, more than the {limit} a settings file may have", "is this the right file?",
        "文件有 {size} 字节，超过配置文件上限 {limit}", "请确认是否选错了文件",
    ),
    "file-encoding": (
        "this byte is not UTF-8 text", "save the file as UTF-8",
        "此处不是 UTF-8 文字", "请将文件另存为 UTF-8 编码",
    ),
    "file-character": (
        "a control character that YAML does not allow", "delete it; is this a text file?",
        "此处有 YAML 不允许的控制字符", "请删除它，并确认这是文本文件",
    ),
    "file-empty": (
        "the file is empty", "start from configs/minimal.yaml",
        "文件是空的", "请从 configs/minimal.yaml 开始",
    ),
    "yaml": (
        "not valid YAML: {problem}", "check indentation, colons, brackets and quotes here and on the line above",
        "YAML 语法错误：{problem}", "请检查此处及上一行的缩进、冒号、括号和引号",
    ),
    "yaml-deep": (
        "brackets or lists are nested too deeply", "a settings file needs at most 8 levels",
        "括号或列表嵌套过深", "配置文件最多需要 8 层",
    ),
    "yaml-large": (
        "aliases unfold to more than {limit} values", "write the values out",
        "别名展开后超过 {limit} 个值", "请直接写出这些值",
    ),
    "yaml-tag": (
        "the tag {tag} is not used here", "remove it; for text, use quotes",
        "此处不能使用标签 {tag}", "请删除标签；文字请加引号",
    ),
    "yaml-key": (
        "a key must be a word", "write `key: value`",
        "键必须是一个词", "请写成“键: 值”",
    ),
    "yaml-twice": (
        "the key {name!r} is already on line {first}", "keep one of them",
        "键 {name!r} 已在第 {first} 行出现", "请只保留一个",
    ),
    # ---- shape
    "unknown-key": (
        "unknown key {name!r}", "remove it; known here: {known}",
        "未知的键 {name!r}", "请删除；此处可用：{known}",
    ),
    "unknown-key-near": (
        "unknown key {name!r}", "did you mean {near!r}?",
        "未知的键 {name!r}", "是不是想写 {near!r}？",
    ),
    "missing-key": (
        "the key {name!r} is missing", "add `{name}: …`",
        "缺少键 {name!r}", "请添加 `{name}: …`",
    ),
    "missing-devices": (
        "no devices", "add `devices: […]` or `devices_from: FILE`",
        "没有设备", "请添加 `devices: […]` 或 `devices_from: 文件`",
    ),
    "missing-column": (
        "the column {name!r} is missing", "the first row names the columns: {known}",
        "缺少列 {name!r}", "第一行是列名：{known}",
    ),
    "wrong-type": (
        "{found} where {wanted} is needed", "write {wanted}",
        "此处应为{wanted}，实际是{found}", "请改为{wanted}",
    ),
    "wrong-type-quote": (
        "{found} where text is needed", "put it in quotes: \"{text}\"",
        "此处应为文字，实际是{found}", "请加引号：\"{text}\"",
    ),
    "wrong-type-unquote": (
        "text where {wanted} is needed", "write {wanted} without quotes",
        "此处应为{wanted}，实际是文字", "请去掉引号，写成{wanted}",
    ),
    "not-one-of": (
        "{value!r} is not known here", "one of {known}",
        "此处不能是 {value!r}", "可选：{known}",
    ),
    "not-one-of-near": (
        "{value!r} is not known here", "did you mean {near!r}?",
        "此处不能是 {value!r}", "是不是想写 {near!r}？",
    ),
    "pattern": (
        "{value!r} has not the right form", "{pattern}",
        "{value!r} 的格式不对", "{pattern}",
    ),
    "length": (
        "this has the wrong length", "{wanted}",
        "长度不对", "{wanted}",
    ),
    "range": (
        "{value} is outside what is allowed", "{wanted}",
        "{value} 超出允许范围", "{wanted}",
    ),
    "form": (
        "{problem}", "see docs/devices.md and device_drivers/profiles/schema.py",
        "格式不对：{problem}", "请参考 docs/devices.md 与 device_drivers/profiles/schema.py",
    ),
    # ---- gateway and site
    "timezone": (
        "no time zone is called {value!r}", "for example Asia/Shanghai",
        "没有名为 {value!r} 的时区", "例如 Asia/Shanghai",
    ),
    "listen": (
        "the port of {value!r} is above 65535", "0 … 65535",
        "{value!r} 的端口超过 65535", "可用 0 … 65535",
    ),
    "floors": (
        "the lowest storey {low} is above the highest {high}", "write [lowest, highest]",
        "最低层 {low} 高于最高层 {high}", "请写成 [最低层, 最高层]",
    ),
    "folder": (
        "no folder {value!r}", "create it or correct the path (relative to this file)",
        "没有文件夹 {value!r}", "请创建它或改正路径（相对于本文件）",
    ),
    "url": (
        "{value!r} is not the address of a broker", "write mqtt://HOST:PORT or mqtts://HOST:PORT",
        "{value!r} 不是 MQTT 服务器地址", "请写成 mqtt://主机:端口 或 mqtts://主机:端口",
    ),
    "http-url": (
        "{value!r} is not a web address", "write http://HOST:PORT or https://HOST",
        "{value!r} 不是网址", "请写成 http://主机:端口 或 https://主机",
    ),
    "ca-missing": (
        "no certificate file {value!r}", "correct the path (relative to this file)",
        "没有证书文件 {value!r}", "请改正路径（相对于本文件）",
    ),
    "port-name": (
        "{value!r} may be another adapter after the next start",
        "use the name under /dev/serial/by-id that `ls -l` shows",
        "{value!r} 重启后可能指向另一个串口", "请使用 /dev/serial/by-id 下的名称（用 `ls -l` 查看）",
    ),
    # ---- identity
    "duplicate-id": (
        "the id {value!r} is already used at {where}", "give each its own id",
        "编号 {value!r} 已在 {where} 使用", "请为每一项使用不同的编号",
    ),
    "duplicate-address": (
        "the address {value!r} on link {link!r} is already used at {where}",
        "two devices never share an address; correct one",
        "线路 {link!r} 上的地址 {value!r} 已在 {where} 使用", "两台设备不能共用地址，请改正其中一个",
    ),
    "duplicate-port": (
        "the port {value!r} already belongs to link {link!r}", "one port, one link: put all its devices on one link",
        "端口 {value!r} 已属于线路 {link!r}", "一个端口只能有一条线路，请把设备放到同一条线路上",
    ),
    "unknown-profile": (
        "no profile is called {value!r}", "`docs/devices.md` lists them all",
        "没有名为 {value!r} 的设备型号", "全部型号见 `docs/devices.md`",
    ),
    "unknown-profile-near": (
        "no profile is called {value!r}", "did you mean {near!r}?",
        "没有名为 {value!r} 的设备型号", "是不是想写 {near!r}？",
    ),
    "profile-broken": (
        "the profile {value!r} has faults of its own", "run `linli check` on its file",
        "设备型号 {value!r} 本身有错误", "请对其文件运行 `linli check`",
    ),
    "profile-name": (
        "this file's path says the profile is {wanted!r}", "write `profile: {wanted}` or rename the file",
        "按文件路径，此型号应为 {wanted!r}", "请写 `profile: {wanted}` 或改文件名",
    ),
    "unknown-link": (
        "no link is called {value!r}", "links are: {known}",
        "没有名为 {value!r} 的线路", "已有线路：{known}",
    ),
    "unknown-link-near": (
        "no link is called {value!r}", "did you mean {near!r}?",
        "没有名为 {value!r} 的线路", "是不是想写 {near!r}？",
    ),
    "link-family": (
        "the profile {profile!r} speaks {wanted}, but link {link!r} is {kind}",
        "put the device on a link of the right kind",
        "型号 {profile!r} 使用 {wanted}，而线路 {link!r} 是 {kind}", "请把设备放到正确类型的线路上",
    ),
    "address-modbus": (
        "{value!r} is not a Modbus unit number", "1 … 247",
        "{value!r} 不是 Modbus 地址", "应为 1 … 247",
    ),
    "address-rf433": (
        "{value!r} is not a transmitter's code", "five hex digits such as A1B2C, in quotes when they are all figures",
        "{value!r} 不是发射器编码", "应为 5 位十六进制，如 A1B2C；全是数字时请加引号",
    ),
    "address-topic": (
        "{value!r} is not the topic of one device", "levels separated by /, no + or #, no / at either end",
        "{value!r} 不是单个设备的主题", "用 / 分层，不含 + 或 #，首尾不带 /",
    ),
    "place-unit": (
        "the site has no unit {value!r}", "units are: {known}",
        "本楼没有 {value!r} 单元", "已有单元：{known}",
    ),
    "place-floor": (
        "the site has no floor {value}", "floors are {low} … {high}",
        "本楼没有 {value} 层", "楼层为 {low} … {high}",
    ),
    "place-household": (
        "floor {floor} has no household {value!r}", "households there are {low} … {high}",
        "{floor} 层没有 {value!r} 室", "该层门牌为 {low} … {high}",
    ),
    "place-no-floor": (
        "household {value!r} without its floor", "add `floor: …`",
        "写了 {value!r} 室但没写楼层", "请添加 `floor: …`",
    ),
    "place-none": (
        "nobody will know where {value!r} is", "add `place: {{unit: …, floor: …}}` or `place: {{text: …}}`",
        "没人知道 {value!r} 在哪里", "请添加 `place: {{unit: …, floor: …}}` 或 `place: {{text: …}}`",
    ),
    # ---- secrets
    "secret-env": (
        "the environment variable {value!r} is not set", "set it before the start, or use ${{file:NAME}}",
        "环境变量 {value!r} 未设置", "请在启动前设置，或改用 ${{file:文件名}}",
    ),
    "secret-file": (
        "cannot read the secret's file {value!r}", "create it beside this file, readable only by the gateway's user",
        "无法读取密钥文件 {value!r}", "请在本文件旁创建它，只允许网关用户读取",
    ),
    "secret-text": (
        "the secret's file {value!r} is empty or no text", "put only the secret in it, as UTF-8",
        "密钥文件 {value!r} 为空或不是文字", "请只写入密钥本身，UTF-8 编码",
    ),
    "secret-plain": (
        "a secret stands in the file", "put it in a file of its own and write ${{file:NAME}}, or ${{env:NAME}}",
        "密钥直接写在了文件里", "请另存一个文件并写 ${{file:文件名}}，或 ${{env:变量名}}",
    ),
    "tell-url": (
        "this is not the address of a message service", "an Apprise URL such as ntfys://ntfy.sh/TOPIC",
        "这不是消息服务的地址", "请使用 Apprise 地址，如 ntfys://ntfy.sh/主题",
    ),
    # ---- what would not work
    "no-channel": (
        "{value!r} cannot be told anything", "add at least one Apprise URL under `tell`",
        "无法通知 {value!r}", "请在 `tell` 下至少添加一个 Apprise 地址",
    ),
    "no-people": (
        "nobody is on the list of people", "add rows to people.csv, so that a grid worker can be told",
        "人员名单是空的", "请在 people.csv 中添加人员，以便通知网格员",
    ),
    "unwatched": (
        "{profile} on link {link!r} cannot be supervised: nothing tells when one dies ({count} here)",
        "a one-way transmitter reports nothing: press each once a month",
        "线路 {link!r} 上的 {profile}（共 {count} 个）无法监测，失效时没有任何提示",
        "单向发射器不会上报状态：请每月逐个按一次",
    ),
    "unwatched-slow": (
        "{profile} is read every {poll} s but must be heard every {supervise} s",
        "raise supervise_s above twice poll_s in the profile",
        "{profile} 每 {poll} 秒读一次，却要求每 {supervise} 秒有应答",
        "请在型号中把 supervise_s 设为 poll_s 的两倍以上",
    ),
    "untold": (
        "nobody on site would be told of {value} (priority 1)",
        "add a person to `roster` with `tell`, or a sounder for this class",
        "发生 {value}（一级）时，现场没有任何人会被通知", "请在 `roster` 中添加可通知的人员，或为此类报警配置声光器",
    ),
    "slow-supervise": (
        "link {link!r} needs {scan} s to read all its {count} devices; {device!r} must not be silent for {limit} s",
        "raise the baud rate, move devices, or read the less urgent ones less often",
        "线路 {link!r} 读完全部 {count} 台设备需 {scan} 秒，而 {device!r} 失联须在 {limit} 秒内发现",
        "请提高波特率、移走设备，或降低次要设备的读取频率",
    ),
    # ---- rules, sounders, linkages
    "rules-target": (
        "neither a device nor a profile in use is called {value!r}", "devices and profiles of this file only",
        "没有名为 {value!r} 的设备或在用型号", "只能写本文件中的设备和型号",
    ),
    "rules-id": (
        "{target!r} has no rule {value!r}", "its rules are: {known}",
        "{target!r} 没有规则 {value!r}", "已有规则：{known}",
    ),
    "rules-limit": (
        "the rule {value!r} has no limit to change", "only rules with `above` or `below` have one",
        "规则 {value!r} 没有可改的限值", "只有带 `above` 或 `below` 的规则才有",
    ),
    "rules-range": (
        "the limit {value} is outside the sensor's range {low} … {high}: it would never alarm", "choose a limit inside",
        "限值 {value} 超出传感器量程 {low} … {high}，永远不会报警", "请选择量程内的限值",
    ),
    "rules-delay": (
        "{value} s of delay on a life-safety rule", "at most {limit} s",
        "生命安全规则延时 {value} 秒", "最多 {limit} 秒",
    ),
    "point-unknown": (
        "there is no point {value!r}", "DEVICE/POINT, such as {known}",
        "没有点位 {value!r}", "格式为 设备/点位，如 {known}",
    ),
    "point-fixed": (
        "the point {value!r} cannot be set", "choose one that its profile lets us write",
        "点位 {value!r} 不能写入", "请选择型号中可写的点位",
    ),
    "class-unknown": (
        "no alarm class is called {value!r}", "for example {known}",
        "没有名为 {value!r} 的报警类别", "例如 {known}",
    ),
    "valve-open": (
        "the gateway closes a gas valve, it never opens one", "write `value: true`; a person opens it by hand, on site",
        "网关只关闭燃气阀，绝不打开", "请写 `value: true`；开阀必须由人到现场手动操作",
    ),
    "linkage-value": (
        "{value!r} cannot be written to {point!r}", "write `true` or `false`",
        "不能向 {point!r} 写入 {value!r}", "请写 `true` 或 `false`",
    ),
    # ---- tables
    "table": (
        "cannot read this table: {problem}", "save it again as CSV (UTF-8) or .xlsx",
        "无法读取此表格：{problem}", "请重新另存为 CSV（UTF-8）或 .xlsx",
    ),
    "table-kind": (
        "{value!r} is neither .csv nor .xlsx", "save the table as one of them",
        "{value!r} 既不是 .csv 也不是 .xlsx", "请另存为其中一种",
    ),
    "table-empty": (
        "the table has no rows", "the first row names the columns: {known}",
        "表格没有内容", "第一行是列名：{known}",
    ),
    "table-quote": (
        "a quotation mark is not closed", "close it, or double it inside a text",
        "引号没有闭合", "请补上引号；文字中的引号请写两个",
    ),
}  # fmt: skip

TEXTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    key: {"en": (what, do), "zh": (was, tu)} for key, (what, do, was, tu) in (*_ALL.items(), *LINK_TEXTS.items())
}
"""Catalogue: key → language → (what is wrong, what to do)."""

TYPES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "string": "text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list",
        "tuple": "a list", "dict": "keys and values", "model": "keys and values", "none": "nothing",
    },
    "zh": {
        "string": "文字", "int": "整数", "float": "数字", "bool": "true 或 false", "list": "列表",
        "tuple": "列表", "dict": "键值", "model": "键值", "none": "空值",
    },
}  # fmt: skip
"""Words for the kinds of value."""

LIMITS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "ge": "at least {limit}", "gt": "more than {limit}", "le": "at most {limit}", "lt": "less than {limit}",
        "finite": "a finite number", "short": "at least {limit}", "long": "at most {limit}", "exact": "exactly {limit}",
    },
    "zh": {
        "ge": "至少为 {limit}", "gt": "大于 {limit}", "le": "最多为 {limit}", "lt": "小于 {limit}",
        "finite": "必须是有限的数",
        "short": "至少 {limit} 个", "long": "最多 {limit} 个", "exact": "必须正好 {limit} 个",
    },
}  # fmt: skip
"""Words for bounds."""

PATTERNS: Mapping[str, Mapping[str, str]] = {
    r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$": {
        "en": "letters, figures, - _ and . only, at most 64",
        "zh": "只能用字母、数字和 - _ . ，最多 64 个",
    },
    r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$": {
        "en": "letters, figures, - and _ only, at most 32",
        "zh": "只能用字母、数字和 - _ ，最多 32 个",
    },
    r"^[a-z0-9][a-z0-9_.-]*$": {
        "en": "small letters, figures, - _ and . only",
        "zh": "只能用小写字母、数字和 - _ .",
    },
    r"^[a-z0-9_-]+/[a-z0-9_-]+$": {"en": "write MAKER/MODEL in small letters", "zh": "请写成小写的 厂家/型号"},
    r"^(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):[0-9]{1,5}$": {
        "en": "write HOST:PORT, such as 127.0.0.1:8081",
        "zh": "请写成 主机:端口，如 127.0.0.1:8081",
    },
    r"^https?://[^\s/]+": {
        "en": "write http://HOST:PORT or https://HOST",
        "zh": "请写成 http://主机:端口 或 https://主机",
    },
}
"""Words for the forms of names and addresses, by their regular expression."""
