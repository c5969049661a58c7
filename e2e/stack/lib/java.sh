# shellcheck shell=bash
# How the two JVMs of the stack start: small heaps, the serial collector, shared class archives.
# shellcheck disable=SC2034  # the arrays are for the part that sources this file

# java_flags PART HEAP_MIB: fills the array of the same name. SEPTEM_JVM_C2=1 (benchmarks) leaves the second
# compiler on, which is faster in the long run and costs memory.
java_flags() {
  local archive=$CACHE/cds/$1-$KAFKA-$DEBEZIUM.jsa fresh=$STATE/run/$1.jsa
  java_flags=(-Xms64m "-Xmx$2m" -XX:+UseSerialGC -Xss512k -XX:ReservedCodeCacheSize=64m -XX:+ExitOnOutOfMemoryError)
  [ -n "${SEPTEM_JVM_C2:-}" ] || java_flags+=(-XX:TieredStopAtLevel=1)
  mkdir -p "$CACHE/cds"
  # An archive written when the part last stopped serves every later start; the JVM checks that it fits.
  if [ -f "$fresh" ]; then mv -f "$fresh" "$archive"; fi
  if [ -f "$archive" ]; then
    java_flags+=(-Xshare:auto "-XX:SharedArchiveFile=$archive")
  else
    java_flags+=("-XX:ArchiveClassesAtExit=$fresh")
  fi
}

# log4j PART LOGGER...: writes the part's logging configuration, those loggers at level info, and fills `log4j`.
log4j() {
  local file=$STATE/config/$1-log4j2.yaml logger
  shift
  {
    printf 'Configuration:\n  status: warn\n  Appenders:\n'
    printf '    Console: { name: STDOUT, PatternLayout: { pattern: "%%d{ISO8601} %%p [%%t] %%c{1} %%m%%n" } }\n'
    printf '  Loggers:\n    Root: { level: warn, AppenderRef: { ref: STDOUT } }\n    Logger:\n'
    for logger in "$@"; do printf '      - { name: %s, level: info }\n' "$logger"; done
  } >"$file"
  log4j=("-Dlog4j2.configurationFile=$file")
}
