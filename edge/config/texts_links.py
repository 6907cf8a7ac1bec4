"""What check says about the links and addresses beside Modbus and MQTT (see texts.py)."""

from __future__ import annotations

from collections.abc import Mapping

LINK_TEXTS: Mapping[str, tuple[str, str, str, str]] = {
    "no-modem": (
        "{value!r} is to be told by short message, and this gateway has no modem",
        "add `modem: {{port: …}}`, or another way under `tell`",
        "要用短信通知 {value!r}，但本网关没有短信模块", "请添加 `modem: {{port: …}}`，或在 `tell` 下改用其他方式",
    ),
    "rules-window": (
        "the rule {value!r} does not look back", "`window_s` is for rules with rise, fall or stuck",
        "规则 {value!r} 不比较以前的值", "`window_s` 只用于 rise、fall 或 stuck 规则",
    ),
    "modem-link": (
        "{value!r} is also the name of a link", "give that link another id: the modem is shown under this name",
        "{value!r} 也是一条线路的编号", "请为该线路另取编号：短信模块以此名称显示",
    ),
    "slow-detect": (
        "link {link!r} needs {scan} s to read its {count} life-safety devices; an alarm must be seen within {limit} s",
        "{baudrate} Bd would be enough, or move {move} of its devices to another link",
        "线路 {link!r} 读完 {count} 个生命安全设备需 {scan} 秒，而报警须在 {limit} 秒内发现",
        "把波特率提高到 {baudrate}，或把 {move} 台设备移到别的线路",
    ),
    "slow-detect-move": (
        "link {link!r} needs {scan} s to read its {count} life-safety devices; an alarm must be seen within {limit} s",
        "no baud rate helps: move {move} of its devices to another link, or lower timeout_s",
        "线路 {link!r} 读完 {count} 个生命安全设备需 {scan} 秒，而报警须在 {limit} 秒内发现",
        "提高波特率也不够：请把 {move} 台设备移到别的线路，或减小 timeout_s",
    ),
    "slow-dead": (
        "link {link!r} would need {scan} s to see an alarm while {dead} of its slaves die; the limit is {limit} s",
        "lower timeout_s (now {timeout} s), raise the baud rate, or move devices",
        "线路 {link!r} 上若有 {dead} 台设备同时失效，发现报警需 {scan} 秒，超过 {limit} 秒",
        "请减小 timeout_s（现为 {timeout} 秒）、提高波特率，或移走设备",
    ),
    "address-gbt26875": (
        "{value!r} is not an address behind a fire transmission device",
        "SOURCE, SOURCE/SYSTEM.NUMBER or SOURCE/SYSTEM.NUMBER/COMPONENT, such as 510109000001/1.1/1204",
        "{value!r} 不是用户信息传输装置的地址",
        "写 源地址、源地址/系统类型.系统地址 或再加 /部件地址，如 510109000001/1.1/1204",
    ),
    "address-call": (
        "{value!r} is not a call address", "one word of at most 16 ASCII characters, or \"*\" for all others",
        "{value!r} 不是呼叫地址", "最多 16 个 ASCII 字符，不含空格；\"*\" 表示其余所有",
    ),
    "address-dlt645": (
        "{value!r} is not the number of an electricity meter", "the 12 figures printed on the meter",
        "{value!r} 不是电表表号", "请写表上印的 12 位数字",
    ),
    "address-cjt188": (
        "{value!r} is not the number of a meter", "the 14 figures printed on the meter",
        "{value!r} 不是表号", "请写表上印的 14 位数字",
    ),
    "address-osdp": (
        "{value!r} is not an OSDP address", "0 … 126",
        "{value!r} 不是 OSDP 地址", "应为 0 … 126",
    ),
    "secret-osdp": (
        "the OSDP key is not 32 hex digits", "take the 16 bytes that the readers were given",
        "OSDP 密钥不是 32 位十六进制数", "请使用写入读卡器的 16 字节密钥",
    ),
    "port-name-near": (
        "{value!r} may be another adapter after the next start", "write {near}",
        "{value!r} 重启后可能指向另一个串口", "请写 {near}",
    ),
    "port-shared": (
        "several adapters share the id {value!r}: it names whichever was plugged in last",
        "write {near}, which names the socket",
        "多个串口适配器共用标识 {value!r}，它指向最后插入的那个", "请写 {near}（按插口命名）",
    ),
}  # fmt: skip
"""Key → (what is wrong, what to do) in English, then in Chinese."""
