"""Bytes that are no command, and what is wrong with each: nothing that follows can be understood any more."""

from typing import Final

BROKEN: Final = {
    "count_of_letters": b"*abc\r\n",
    "count_beyond_all_bounds": b"*3000000000\r\n",
    "count_of_20_digits": b"*99999999999999999999\r\n",
    "count_with_space": b"* 1\r\n$4\r\nPING\r\n",
    "count_with_plus": b"*+1\r\n$4\r\nPING\r\n",
    "count_with_underscore": b"*0_1\r\n$4\r\nPING\r\n",
    "count_of_other_digits": "*\N{ARABIC-INDIC DIGIT ONE}\r\n$4\r\nPING\r\n".encode(),
    "count_empty": b"*\r\n",
    "size_negative": b"*1\r\n$-10\r\n",
    "size_of_null": b"*2\r\n$4\r\nECHO\r\n$-1\r\n",
    "size_of_letters": b"*1\r\n$abc\r\n",
    "size_beyond_all_bounds": b"*1\r\n$536870913\r\n",
    "size_of_20_digits": b"*1\r\n$99999999999999999999\r\n",
    "size_with_space": b"*1\r\n$ 4\r\nPING\r\n",
    "size_with_plus": b"*1\r\n$+4\r\nPING\r\n",
    "size_empty": b"*1\r\n$\r\n",
    "size_too_small": b"*1\r\n$3\r\nPING\r\n",
    "size_too_large": b"*2\r\n$5\r\nECHO\r\n$1\r\na\r\n",
    "end_of_size_without_cr": b"*1\r\n$4\nPING\r\n",
    "end_of_count_without_cr": b"*1\n$4\r\nPING\r\n",
    "end_of_word_without_cr": b"*1\r\n$4\r\nPING\n\n",
    "end_of_word_missing": b"*2\r\n$4\r\nECHO$1\r\na\r\n",
    "no_bulk_string": b"*1\r\n:4\r\n",
    "no_size": b"*1\r\nPING\r\n",
    "line_without_end": b"*" + b"1" * 100,
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(range(200)),
    "zeros": bytes(64),
}
