"""Becomes a ClickHouse server made of libchdb: its HTTP and native listeners, until its own query is killed.

usage: clickhouse-engine.py LIBCHDB DATA CONFIG HTTP_PORT TCP_PORT

The library offers no call that starts the servers, but its `clickhouse local` entry takes queries: two start the
listeners, the last one never ends and so keeps the process. It belongs to no user, so `KILL QUERY WHERE user = ''`
by an administrator stops the engine in an orderly way; a kill -9 loses nothing that was acknowledged.
"""
import ctypes
import sys


class Result(ctypes.Structure):
    """local_result_v2 of the library's header."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("_vec", ctypes.c_void_p),
        ("elapsed", ctypes.c_double),
        ("rows_read", ctypes.c_uint64),
        ("bytes_read", ctypes.c_uint64),
        ("error", ctypes.c_char_p),
    ]


def main() -> int:
    """Runs the engine; 1 when it ends with an error."""
    library, data, config, http, tcp = sys.argv[1:6]
    engine = ctypes.CDLL(library)
    engine.query_stable_v2.restype = ctypes.POINTER(Result)
    arguments = [
        "clickhouse",
        "--multiquery",
        "--logger.level=warning",
        "--log-level=warning",
        f"--path={data}/store",
        f"--config-file={config}",
        "--listen_host=127.0.0.1",
        f"--http_port={http}",
        f"--tcp_port={tcp}",
        "--query=SYSTEM START LISTEN HTTP; SYSTEM START LISTEN TCP; "
        "SELECT count() FROM system.numbers WHERE sleepEachRow(1) = 1 SETTINGS max_block_size = 1, max_threads = 1",
    ]
    argv = (ctypes.c_char_p * len(arguments))(*(a.encode() for a in arguments))
    result = engine.query_stable_v2(len(arguments), argv)
    error = result.contents.error if result else b"no result"
    if error and b"QUERY_WAS_CANCELLED" not in error:
        print(error.decode(errors="replace"), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
