# shellcheck shell=bash
# shellcheck disable=SC2034  # for those who source this file
# What a node is made of, beside what the stack has.

CONTAINERD=2.4.2
CNI=1.9.1
COREDNS=1.15.0
BUSYBOX=/bin/busybox
