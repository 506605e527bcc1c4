#!/bin/sh
# Installs the peers that are Python packages: install.sh FOLDER. What is there already is left as it is.
#
# FOLDER/python gets requirements.txt, FOLDER/flink gets requirements-flink.txt. What cannot be installed is left
# out, and the reason stands in FOLDER/NAME.log; the benchmark then does without it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?which folder?}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)

# A Python that has wheels of the peers: 3.11 first.
python() {
    for python in python3.11 python3.12 python3.10 "$HOME"/.pyenv/versions/3.11.*/bin/python3 "$HOME"/.pyenv/versions/3.1[02].*/bin/python3; do
        if "$python" -m venv --help >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
}

# A virtual environment, done once all of its requirements are in it.
environment() {
    name=$1 requirements=$here/$2 done=$folder/$1/requirements.txt
    cmp -s "$requirements" "$done" && return
    python=$(python)
    if [ -z "$python" ]; then
        echo "no Python 3.10, 3.11 or 3.12" >"$folder/$name.log"
        return 1
    fi
    rm -rf "${folder:?}/$name"
    # Some packages unpack gigabytes: not where memory serves as a file system.
    {
        "$python" -m venv "$folder/$name" &&
            TMPDIR=$folder "$folder/$name/bin/pip" install --no-cache-dir --disable-pip-version-check -r "$requirements" &&
            cp "$requirements" "$done"
    } >"$folder/$name.log" 2>&1
}

java_there() {
    command -v java >/dev/null && return
    { apt-get update && apt-get install -y --no-install-recommends openjdk-17-jre-headless; } >"$folder/java.log" 2>&1
}

missing=
environment python requirements.txt || missing="$missing python"
{ java_there && environment flink requirements-flink.txt; } || missing="$missing flink"
[ -z "$missing" ] || echo "left out:$missing; why is in $folder/*.log" >&2
