#!/usr/bin/env bash
# One Debian package of a node, with its whole environment in it:
#
#     packaging/build.sh [FOLDER]                 makes FOLDER/loalang_VERSION_ARCH.deb (FOLDER: dist)
#     ARCH=arm64 packaging/build.sh [FOLDER]      the same for the other architecture, amd64 or arm64
#
# It needs what a developer has (.venv with numba; PYTHON names another), a C compiler (for the other architecture
# its own: apt install gcc-aarch64-linux-gnu libc6-dev-arm64-cross) and Python's headers. The kernels are compiled for any processor of the
# architecture, so the package has no compiler in it. KERNELS=FOLDER takes a library that is there;
# LOALANG_KERNEL_CACHE=FOLDER keeps what numba made, which is the same for both architectures.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(realpath -m "${1:-dist}")
python=${PYTHON:-.venv/bin/python}
case ${ARCH:-$(uname -m)} in
  amd64 | x86_64) architecture=amd64 machine=x86_64 ;;
  arm64 | aarch64) architecture=arm64 machine=aarch64 ;;
  *)
    echo "packaging/build.sh: ARCH=${ARCH:-$(uname -m)}: must be amd64 or arm64, the ones that all wheels are for" >&2
    exit 2
    ;;
esac
if [ -n "${KERNELS:-}" ] && ! [ -e "$(echo "$KERNELS"/loalang_kernels*"$machine"*.stamp)" ]; then
  echo "packaging/build.sh: $KERNELS: has no library for $machine; make it: $python -m node.kernel.build --for $machine $KERNELS" >&2
  exit 2
fi
if [ -n "${KERNELS:-}" ] && [ "$(cut -d' ' -f1 "$KERNELS"/loalang_kernels*"$machine"*.stamp)" != "$("$python" -c 'from node.kernel.shipped import sources_hash; print(sources_hash())')" ]; then
  echo "packaging/build.sh: $KERNELS: was made from other sources; make it again: $python -m node.kernel.build --for $machine $KERNELS" >&2
  exit 2
fi
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
next=$("$python" -c 'import sys; print("%d.%d" % (sys.version_info[0], sys.version_info[1] + 1))')
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
lib=$root/opt/loalang/lib
mkdir -p "$out" "$lib" "$root"/opt/loalang/bin "$root"/usr/bin "$root"/DEBIAN

echo "packages of a node, as in requirements.lock"
wanted=(numpy paho-mqtt msgspec cryptography cffi pycparser pylibsrtp opuslib-next-bundled tzdata segno sounddevice)
"$python" - "${wanted[@]}" > "$root/lock" <<'END'
import pathlib, re, sys
blocks = re.split(r"\n(?=\S)", pathlib.Path("requirements.lock").read_text())
named = [(re.match(r"[\w.-]+", block)[0], block) for block in blocks if block.strip()]
missing = set(sys.argv[1:]) - {name for name, _ in named}
assert not missing, f"not in requirements.lock: {missing}"
print("\n".join(block for name, block in named if name in sys.argv[1:]))
END
# The environment that run.py makes has no pip of its own.
if [ -z "${PIP:-}" ]; then
  PIP="$python -m pip"
  "$python" -m pip --version > /dev/null 2>&1 || PIP="python3 -m pip --python $python"
fi
foreign=()
if [ "$machine" != "$(uname -m)" ]; then
  foreign=(--implementation cp --python-version "$minor")
  for libc in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014 linux; do
    foreign+=(--platform "${libc}_$machine")
  done
fi
$PIP install --quiet "${foreign[@]}" --require-hashes --no-deps --only-binary :all: --target "$lib" -r "$root/lock"
rm "$root/lock"

echo "kernels for $architecture"
if [ -n "${KERNELS:-}" ]; then
  mkdir -p "$lib/node/kernel/built" && cp "$KERNELS"/loalang_kernels*"$machine"* "$lib/node/kernel/built"
else
  NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= LOALANG_KERNEL_CACHE=${LOALANG_KERNEL_CACHE:-$root/kernels} \
    "$python" -m node.kernel.build --for "$machine" "$lib/node/kernel/built"
  rm -rf "$root/kernels"
fi

echo "the node itself"
(cd node && find . -name '*.py' -o -name '*.toml' -o -name '*.po') | while read -r file; do
  install -D -m 644 "node/$file" "$lib/node/$file"
done
mkdir "$lib/loalang-$version.dist-info"
printf 'Metadata-Version: 2.1\nName: loalang\nVersion: %s\n' "$version" > "$lib/loalang-$version.dist-info/METADATA"
find "$lib" -type d \( -name tests -o -name test -o -name __pycache__ -o -name include -o -name f2py \) -prune -exec rm -rf {} +
rm -rf "$lib/bin" "$lib/share"
find "$lib" \( -name '*.pyi' -o -name '*.c' -o -name '*.h' -o -name '*.a' \) -delete
"$python" -m compileall -q -s "$root" "$lib"
for name in loalang-node:node.shell.cli loalang-station:node.shell.station.cli; do
  cat > "$root/opt/loalang/bin/${name%%:*}" <<END
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, "/opt/loalang/lib")
from ${name##*:} import main

sys.exit(main())
END
  chmod 755 "$root/opt/loalang/bin/${name%%:*}"
  ln -s "/opt/loalang/bin/${name%%:*}" "$root/usr/bin/${name%%:*}"
done

echo "units, user, folders, documents"
for unit in packaging/*.service packaging/*.timer packaging/*.path; do
  install -D -m 644 "$unit" "$root/lib/systemd/system/$(basename "$unit")"
done
install -D -m 644 packaging/sysusers.conf "$root/usr/lib/sysusers.d/loalang.conf"
install -D -m 644 packaging/tmpfiles.conf "$root/usr/lib/tmpfiles.d/loalang.conf"
install -D -m 644 packaging/sysctl.conf "$root/usr/lib/sysctl.d/60-loalang.conf"
install -D -m 644 packaging/slot-shared.conf "$root/etc/rpi-image-gen/slot-shared.d/loalang.conf"
mkdir -p "$root/usr/share/doc/loalang"
install -m 644 docs/*.md CHANGELOG.md "$root/usr/share/doc/loalang"
install -m 644 LICENSE "$root/usr/share/doc/loalang/copyright"

cat > "$root/DEBIAN/control" <<END
Package: loalang
Version: $version
Architecture: $architecture
Maintainer: Loa Lang <loalang@localhost>
Depends: python3 (>= $minor), python3 (<< $next), libportaudio2, systemd
Recommends: chrony
Suggests: mosquitto, alsa-utils
Section: sound
Priority: optional
Installed-Size: $(du -sk "$root" --exclude=DEBIAN | cut -f1)
Description: speaker node of a village's loudspeakers
 RTP in, jitter buffer, Opus decoder, loss concealment, synchronous playout, signed orders,
 and the commands of a commune's station. Everything that it needs beside Python is in it.
END
install -m 755 packaging/postinst packaging/prerm "$root/DEBIAN"
deb=$out/loalang_${version}_$architecture.deb
# Unpacked with 14 MB; by xz, 8 % smaller, it took 113 on two processors: too much for a board of 256 beside the node.
dpkg-deb --root-owner-group -Zzstd -z19 --build "$root" "$deb" > /dev/null
echo "$deb: $(stat -c %s "$deb") bytes, $(du -sm "$root/opt" | cut -f1) MB installed"
