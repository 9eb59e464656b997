#!/usr/bin/env python3
"""Form of every file of the project: no tabs in sources, no CR, no blanks at line ends, a newline at the end,
UTF-8, and no file over the soft limit of lines unless scripts/size-waivers.txt gives a reason.

    check_style.py SOURCE_ROOT

Looks at what git tracks; without git, at the folders of the project.
"""
import os
import subprocess
import sys

MOST_LINES = 600
FOLDERS = ('bench', 'cross', 'demo', 'docs', 'include', 'scripts', 'src', 'tests', 'train', '.ci')
TEXT = ('.c', '.h', '.def', '.py', '.sh', '.md', '.build', '.txt', '.tsv', '.ini', '.json', '.yaml', '.yml',
        '.in', '.html', '.supp')
DATA = ('/corpus/', '/data/')  # below tests/: inputs of tests, wrong on purpose
TABS_ALLOWED = ('.tsv', '.txt', '.hash')
MEASURED = ('.c', '.h', '.def', '.py')


def files(root):
    try:
        out = subprocess.run(['git', '-C', root, 'ls-files', '-z'], check=True, capture_output=True).stdout
        names = [n for n in out.decode().split('\0') if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder in FOLDERS:
            for where, _, inside in os.walk(os.path.join(root, folder)):
                names += [os.path.relpath(os.path.join(where, n), root) for n in inside]
    return sorted(n for n in names if os.path.isfile(os.path.join(root, n)))


def is_text(name, data):
    if name.startswith('tests/') and any(d in name for d in DATA):
        return False
    if name.endswith(TEXT) or os.path.basename(name) in ('Makefile', 'Dockerfile', 'LICENSE'):
        return True
    return data.startswith(b'#!')


def waivers(root):
    """"path<TAB>reason" a line."""
    given = {}
    path = os.path.join(root, 'scripts', 'size-waivers.txt')
    if os.path.exists(path):
        with open(path, encoding='utf-8') as f:
            for line in f:
                if line.strip() and not line.startswith('#'):
                    name, _, reason = line.rstrip('\n').partition('\t')
                    given[name] = reason.strip()
    return given


def check(name, data, waived):
    problems = []
    try:
        data.decode()
    except UnicodeDecodeError as e:
        problems.append(f'{name}: is not UTF-8: {e.reason} at byte {e.start}')
    if data and not data.endswith(b'\n'):
        problems.append(f'{name}: no newline at the end')
    may_tab = name.endswith(TABS_ALLOWED) or os.path.basename(name) == 'Makefile'
    for number, line in enumerate(data.split(b'\n'), 1):
        if b'\r' in line:
            problems.append(f'{name}:{number}: carriage return')
        elif line != line.rstrip() and not may_tab:
            problems.append(f'{name}:{number}: blanks at the end')
        if b'\t' in line and not may_tab:
            problems.append(f'{name}:{number}: tab')
    lines = data.count(b'\n')
    if name.endswith(MEASURED) and lines > MOST_LINES and not waived.get(name):
        problems.append(f'{name}: {lines} lines, over {MOST_LINES}: split it, or give a reason in '
                        f'scripts/size-waivers.txt')
    return problems


def main():
    root = sys.argv[1]
    waived, problems, count = waivers(root), [], 0
    for name in files(root):
        with open(os.path.join(root, name), 'rb') as f:
            data = f.read()
        if is_text(name, data):
            count += 1
            problems += check(name, data, waived)
    for name in waived:
        path = os.path.join(root, name)
        if not os.path.exists(path):
            problems.append(f'scripts/size-waivers.txt: {name} does not exist')
        elif sum(1 for _ in open(path, 'rb')) <= MOST_LINES:
            problems.append(f'scripts/size-waivers.txt: {name} needs no waiver any more')
    for problem in problems:
        print(problem)
    print(f'{count} files, {len(problems)} problems')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main())
