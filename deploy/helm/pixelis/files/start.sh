# Triton, and beside it a look at its models' processes every WATCH_SECONDS (0 = none); its arguments are Triton's.
# A Python model whose process has died answers nothing any more, and Triton neither starts it again nor says so: the
# process stays a zombie of it. Seen twice, Triton is asked to end, and Kubernetes starts the container again.
# A container that died left its regions in /dev/shm, which outlives it: they would take the room of those to come.
rm -f /dev/shm/pixelis-*

dead() {  # a zombie whose parent is this process, which becomes Triton
  for stat in /proc/[0-9]*/stat; do
    read -r line 2>/dev/null <"$stat" || continue
    case "$line" in *"(triton_python_b) Z $$ "*) return 0 ;; esac
  done
  return 1
}

watched() {
  seen=0
  while sleep "$WATCH_SECONDS"; do
    if dead; then seen=$((seen + 1)); else seen=0; fi
    if [ "$seen" -ge 2 ]; then
      echo "A model's process has died: Triton ends, to be started again." >&2
      kill -TERM $$
      return
    fi
  done
}

if [ "${WATCH_SECONDS:-0}" -gt 0 ]; then watched & fi
exec tritonserver "$@"
