"""kazoo against a coordinator, a scenario a behaviour.

Says for each scenario, on a line of its own, how it went (`@result NAME ok` or `@result NAME failed REASON`), and asks the
harness for what it cannot do itself (`@ask restart`, answered by the line `done`). Arguments: HOST:PORT, then scenarios, or
none for all. Exit code 0 when all went well.
"""

import sys
import threading
import time
import traceback
import uuid

from kazoo.client import KazooClient, KazooState
from kazoo import exceptions
from kazoo.protocol.states import EventType, KeeperState
from kazoo.retry import KazooRetry
from kazoo.security import ACL, Id, Permissions, make_digest_acl, CREATOR_ALL_ACL, READ_ACL_UNSAFE
from kazoo.recipe.barrier import DoubleBarrier
from kazoo.recipe.counter import Counter
from kazoo.recipe.party import Party
from kazoo.recipe.queue import LockingQueue

SCENARIOS = {}


def scenario(function):
    """Makes a function a scenario, named as it is with dashes."""
    SCENARIOS[function.__name__.replace("_", "-")] = function
    return function


class Lab:
    """What a scenario works with: clients, and a znode of its own to work below."""

    def __init__(self, hosts, name):
        self.hosts = hosts
        self.root = "/kazoo-%s-%s" % (name, uuid.uuid4().hex[:8])
        self.clients = []

    def client(self, **options):
        options.setdefault("timeout", 10.0)
        options.setdefault("hosts", self.hosts)
        client = KazooClient(**options)
        self.clients.append(client)
        client.start(timeout=20)
        return client

    def close(self):
        for client in self.clients:
            try:
                client.stop()
                client.close()
            except Exception:  # the scenario may have broken it on purpose
                pass


def say(line):
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def ask(request):
    say("@ask " + request)
    answer = sys.stdin.readline().strip()
    if answer != "done":
        raise RuntimeError("%s: %s" % (request, answer))


def refuses(error, function, *arguments, **options):
    try:
        function(*arguments, **options)
    except error:
        return
    raise AssertionError("expected %s from %s%r" % (error, function.__name__, arguments))


def eventually(what, condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not within %d s: %s" % (seconds, what)
        time.sleep(0.01)


@scenario
def create_get_set_delete(lab):
    zk = lab.client()
    root = lab.root
    assert zk.exists(root) is None
    assert zk.create(root, b"first") == root
    data, stat = zk.get(root)
    assert data == b"first" and stat.version == 0 and stat.ephemeralOwner == 0
    assert stat.czxid == stat.mzxid == stat.pzxid and stat.dataLength == 5
    refuses(exceptions.NodeExistsError, zk.create, root)
    changed = zk.set(root, b"second", version=0)
    assert changed.version == 1 and changed.mzxid > stat.mzxid and changed.czxid == stat.czxid
    refuses(exceptions.BadVersionError, zk.set, root, b"x", version=0)
    refuses(exceptions.NoNodeError, zk.get, root + "/none")
    refuses(exceptions.NoNodeError, zk.create, root + "/none/deeper")
    zk.ensure_path(root + "/a/b/c")
    assert zk.get_children(root) == ["a"]
    children, stat = zk.get_children(root, include_data=True)
    assert children == ["a"] and stat.numChildren == 1 and stat.cversion == 1
    refuses(exceptions.NotEmptyError, zk.delete, root + "/a")
    refuses(exceptions.BadVersionError, zk.delete, root + "/a/b/c", version=7)
    zk.delete(root + "/a/b/c", version=0)
    zk.delete(root, recursive=True)
    assert zk.exists(root) is None
    # kazoo turns an empty string into null.
    zk.create(root, b"")
    assert zk.get(root)[0] == b""
    zk.set(root, b"\0" * 900000)
    assert len(zk.get(root)[0]) == 900000
    assert zk.sync(root) == root


@scenario
def names_and_paths(lab):
    zk = lab.client()
    zk.create(lab.root)
    for name in ["with space", "\u8776\u86f9", "a.b", "...", "\u00e9", "tilde~", "colon:", "x" * 500]:
        path = lab.root + "/" + name
        assert zk.create(path, name.encode("utf-8")) == path
        assert zk.get(path)[0] == name.encode("utf-8")
    assert "\u8776\u86f9" in zk.get_children(lab.root)
    # kazoo itself removes slashes too many; these reach the server.
    for bad in ["/a/./b", "/a/../b", "/a/\0", "/\x1f", "/\x7f", "/\uf8ff", "/\uffff"]:
        refuses((exceptions.BadArgumentsError, exceptions.NoNodeError, ValueError), zk.create, bad)
    chrooted = lab.client(hosts=lab.hosts + lab.root)
    assert chrooted.create("/inside", b"1") == "/inside"
    assert zk.get(lab.root + "/inside")[0] == b"1"


@scenario
def ephemeral(lab):
    zk, other = lab.client(), lab.client()
    zk.create(lab.root)
    path = zk.create(lab.root + "/e", b"mine", ephemeral=True)
    assert other.get(path)[1].ephemeralOwner == zk.client_id[0]
    refuses(exceptions.NoChildrenForEphemeralsError, zk.create, path + "/child")
    gone = threading.Event()
    assert other.exists(path, watch=lambda event: gone.set())
    zk.stop()
    assert gone.wait(10), "the watch on an ephemeral whose session closed"
    assert other.exists(path) is None


@scenario
def sequence(lab):
    zk = lab.client()
    zk.create(lab.root)
    assert zk.create(lab.root + "/s-", sequence=True) == lab.root + "/s-0000000000"
    assert zk.create(lab.root + "/t-", sequence=True) == lab.root + "/t-0000000001"
    zk.delete(lab.root + "/s-0000000000")
    assert zk.create(lab.root + "/s-", sequence=True, ephemeral=True) == lab.root + "/s-0000000002"
    zk.create(lab.root + "/plain")
    assert zk.create(lab.root + "/", sequence=True) == lab.root + "/0000000004"


@scenario
def watches(lab):
    zk, other = lab.client(), lab.client()
    seen = []
    note = lambda event: seen.append((event.type, event.path))
    path = lab.root
    assert zk.exists(path, watch=note) is None
    other.create(path, b"1")
    eventually("created", lambda: seen == [(EventType.CREATED, path)])
    zk.get(path, watch=note)
    other.set(path, b"2")
    eventually("changed", lambda: seen[1:] == [(EventType.CHANGED, path)])
    other.set(path, b"3")
    zk.get_children(path, watch=note)
    other.create(path + "/c")
    eventually("child", lambda: seen[2:] == [(EventType.CHILD, path)])
    zk.get(path + "/c", watch=note)
    zk.get_children(path + "/c", watch=note)
    other.delete(path + "/c")
    eventually("deleted", lambda: len(seen) > 3)
    time.sleep(0.2)
    assert set(seen[3:]) == {(EventType.DELETED, path + "/c")}, seen
    data, children = [], []

    @zk.DataWatch(path)
    def watch_data(value, stat):
        data.append(value)

    @zk.ChildrenWatch(path)
    def watch_children(names):
        children.append(sorted(names))

    other.set(path, b"4")
    eventually("data watch", lambda: data[-1:] == [b"4"])
    other.set(path, b"5")
    eventually("data watch again", lambda: data[-1:] == [b"5"])
    other.create(path + "/d")
    eventually("children watch", lambda: children[-1:] == [["d"]])
    other.create(path + "/e")
    eventually("children watch again", lambda: children[-1:] == [["d", "e"]])


@scenario
def locks(lab):
    clients = [lab.client() for _ in range(4)]
    path = lab.root + "/lock"
    inside, order, worst = [0], [], [0]

    def work(number):
        lock = clients[number].Lock(path, "client-%d" % number)
        for _ in range(5):
            with lock:
                inside[0] += 1
                worst[0] = max(worst[0], inside[0])
                order.append(number)
                time.sleep(0.002)
                inside[0] -= 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(order) == 20 and worst[0] == 1, (order, worst)
    held = clients[0].Lock(path, "holder")
    assert held.acquire(timeout=10)
    assert not clients[1].Lock(path, "waiter").acquire(blocking=False)
    assert clients[2].Lock(path, "reader").contenders() == ["holder"]
    refuses(exceptions.LockTimeout, clients[1].Lock(path, "waiter").acquire, timeout=0.3)
    # The holder's session ends: the lock is free.
    clients[0].stop()
    assert clients[1].Lock(path, "waiter").acquire(timeout=10)
    reader, another = clients[2].ReadLock(lab.root + "/rw"), clients[3].ReadLock(lab.root + "/rw")
    assert reader.acquire(timeout=10) and another.acquire(timeout=10)
    writer = clients[1].WriteLock(lab.root + "/rw")
    assert not writer.acquire(blocking=False)
    reader.release()
    another.release()
    assert writer.acquire(timeout=10)
    semaphore = clients[2].Semaphore(lab.root + "/semaphore", max_leases=2)
    assert semaphore.acquire(timeout=10)
    assert clients[3].Semaphore(lab.root + "/semaphore", max_leases=2).acquire(timeout=10)
    assert not clients[1].Semaphore(lab.root + "/semaphore", max_leases=2).acquire(blocking=False)


@scenario
def election(lab):
    clients = [lab.client() for _ in range(3)]
    led = []
    leading = threading.Event()
    release = threading.Event()

    def lead(number):
        led.append(number)
        leading.set()
        if len(led) == 1:
            release.wait(20)

    elections = [client.Election(lab.root, "member-%d" % n) for n, client in enumerate(clients)]
    threads = [threading.Thread(target=elections[n].run, args=(lead, n)) for n in range(3)]
    for thread in threads:
        thread.start()
    assert leading.wait(20)
    eventually("three contenders", lambda: len(elections[0].contenders()) == 3)
    assert len(led) == 1, led
    release.set()
    for thread in threads:
        thread.join(30)
    assert sorted(led) == [0, 1, 2], led


@scenario
def recipes(lab):
    first, second = lab.client(), lab.client()
    counter = Counter(first, lab.root + "/counter")
    other = Counter(second, lab.root + "/counter")
    for _ in range(5):
        counter += 2
        other -= 1
    assert counter.value == other.value == 5
    party = Party(first, lab.root + "/party", "one")
    party.join()
    Party(second, lab.root + "/party", "two").join()
    assert sorted(party) == ["one", "two"]
    queue = LockingQueue(first, lab.root + "/queue")
    queue.put_all([b"a", b"b"])
    queue.put(b"urgent", priority=1)
    taken = []
    for _ in range(3):
        taken.append(queue.get(timeout=10))
        assert queue.consume()
    assert taken == [b"urgent", b"a", b"b"], taken
    barriers = [DoubleBarrier(client, lab.root + "/barrier", 2) for client in (first, second)]
    threads = [threading.Thread(target=lambda b=b: (b.enter(), b.leave())) for b in barriers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a double barrier that does not open"


@scenario
def transactions(lab):
    zk = lab.client()
    zk.create(lab.root, b"0")
    transaction = zk.transaction()
    transaction.create(lab.root + "/a", b"1")
    transaction.create(lab.root + "/s-", sequence=True)
    transaction.set_data(lab.root, b"changed", version=0)
    transaction.check(lab.root + "/a", 0)
    transaction.create(lab.root + "/b")
    transaction.delete(lab.root + "/b")
    results = transaction.commit()
    assert results[0] == lab.root + "/a" and results[1] == lab.root + "/s-0000000001", results
    assert results[2].version == 1 and results[3] is True and results[5] is True, results
    a, s = zk.exists(lab.root + "/a"), zk.exists(lab.root + "/s-0000000001")
    assert a.czxid == s.czxid == zk.exists(lab.root).mzxid, "one transaction, one zxid"
    failing = zk.transaction()
    failing.create(lab.root + "/c")
    failing.create(lab.root + "/a")
    failing.delete(lab.root + "/a")
    results = failing.commit()
    assert isinstance(results[0], exceptions.RolledBackError), results
    assert isinstance(results[1], exceptions.NodeExistsError), results
    assert isinstance(results[2], exceptions.RuntimeInconsistency), results
    assert zk.exists(lab.root + "/c") is None and zk.exists(lab.root + "/a") is not None
    with zk.transaction() as block:
        for n in range(500):
            block.create(lab.root + "/many-%d" % n, b"x" * 100)
    assert zk.exists(lab.root).numChildren == 502


@scenario
def authentication(lab):
    owner, stranger = lab.client(), lab.client()
    owner.add_auth("digest", "alice:secret")
    owner.create(lab.root)
    path = lab.root + "/private"
    owner.create(path, b"secret", acl=CREATOR_ALL_ACL)
    acls, stat = owner.get_acls(path)
    assert acls == [make_digest_acl("alice", "secret", all=True)] and stat.aversion == 0, acls
    for call in (lambda: stranger.get(path), lambda: stranger.set(path, b"x"), lambda: stranger.create(path + "/c"),
                 lambda: stranger.set_acls(path, READ_ACL_UNSAFE)):
        refuses(exceptions.NoAuthError, call)
    assert stranger.exists(path) is not None
    stranger.add_auth("digest", "alice:secret")
    assert stranger.get(path)[0] == b"secret"
    world_readable = [make_digest_acl("alice", "secret", all=True), ACL(Permissions.READ, Id("world", "anyone"))]
    assert owner.set_acls(path, world_readable, version=0).aversion == 1
    refuses(exceptions.BadVersionError, owner.set_acls, path, world_readable, version=0)
    third = lab.client()
    assert third.get(path)[0] == b"secret"
    refuses(exceptions.NoAuthError, third.set, path, b"x")
    refuses(exceptions.InvalidACLError, third.create, lab.root + "/nobody", acl=CREATOR_ALL_ACL)
    by_address = [ACL(Permissions.ALL, Id("ip", "127.0.0.1"))]
    third.create(lab.root + "/ip", b"1", acl=by_address)
    assert third.get(lab.root + "/ip")[0] == b"1"
    elsewhere = [ACL(Permissions.ALL, Id("ip", "10.1.2.0/24"))]
    third.create(lab.root + "/elsewhere", b"1", acl=elsewhere)
    refuses(exceptions.NoAuthError, third.get, lab.root + "/elsewhere")
    superuser = lab.client(auth_data=[("digest", "super:test")])
    assert superuser.get(lab.root + "/elsewhere")[0] == b"1"
    bad = lab.client()
    refuses(exceptions.AuthFailedError, bad.add_auth, "nonsense", "x")


@scenario
def session_survives_a_restart(lab):
    zk = lab.client(timeout=20.0, connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.2))
    states = []
    zk.add_listener(lambda state: states.append(state) and None)
    zk.create(lab.root, b"before")
    zk.create(lab.root + "/ephemeral", b"still mine", ephemeral=True)
    session = zk.client_id[0]
    # kazoo forgets plain watches with their connection; its recipe sets them again.
    seen = []
    zk.DataWatch(lab.root, lambda data, stat: seen.append(data) and None)
    ask("restart")
    eventually("connected again", lambda: zk.connected, 60)
    assert zk.client_id[0] == session, "the session is the same"
    assert KazooState.LOST not in states, states
    data, stat = zk.retry(zk.get, lab.root + "/ephemeral")
    assert data == b"still mine" and stat.ephemeralOwner == session
    other = lab.client()
    other.set(lab.root, b"after")
    eventually("a watch of before the restart", lambda: seen[-1:] == [b"after"])


@scenario
def an_expired_session_leaves_nothing(lab):
    zk, other = lab.client(timeout=4.0), lab.client()
    other.create(lab.root)
    zk.create(lab.root + "/e", ephemeral=True)
    gone = threading.Event()
    other.exists(lab.root + "/e", watch=lambda event: gone.set())
    # The socket goes without a goodbye, and nobody comes back for the session.
    zk._connection._socket.close()
    start = time.monotonic()
    zk._stopped.set()
    assert gone.wait(20), "the ephemeral of a session that expired"
    took = time.monotonic() - start
    assert 2.0 < took < 9.0, "expired after %.1f s of a timeout of 4 s" % took


@scenario
def read_only_mode(lab):
    """Without a leader a client that asks for it reads what the last server has; with one it writes."""
    zk = lab.client(read_only=True, timeout=30.0)
    zk.create(lab.root, b"old")
    session = zk.client_id[0]
    ask("leave %s" % lab.hosts.split(",")[0])
    eventually("it may only read", lambda: zk.client_state == KeeperState.CONNECTED_RO, 60)
    assert zk.retry(zk.get, lab.root)[0] == b"old"
    assert zk.client_id[0] == session
    refuses(exceptions.NotReadOnlyCallError, zk.set, lab.root, b"new")
    refuses(exceptions.NotReadOnlyCallError, zk.create, lab.root + "/new")
    assert zk.retry(zk.get_children, lab.root) == []
    # One that begins now has a session of this server alone.
    late = lab.client(read_only=True, connection_retry=KazooRetry(max_tries=-1))
    eventually("another one may only read", lambda: late.client_state == KeeperState.CONNECTED_RO, 60)
    seen = []
    assert late.get(lab.root, watch=seen.append)[0] == b"old"
    refuses(exceptions.NotReadOnlyCallError, late.set, lab.root, b"new")
    ask("bring back")
    eventually("both may write", lambda: zk.client_state == late.client_state == KeeperState.CONNECTED, 60)
    assert zk.client_id[0] == session
    assert zk.retry(zk.set, lab.root, b"new").version == 1
    assert late.retry(late.set, lab.root, b"newer").version == 2


@scenario
def pipelining(lab):
    zk = lab.client()
    zk.create(lab.root)
    created = [zk.create_async(lab.root + "/n-", str(n).encode(), sequence=True) for n in range(2000)]
    paths = [result.get(timeout=30) for result in created]
    assert paths == [lab.root + "/n-%010d" % n for n in range(2000)], "replies in the order of the requests"
    reads = [zk.get_async(path) for path in paths]
    for n, read in enumerate(reads):
        assert read.get(timeout=30)[0] == str(n).encode()
    assert len(zk.get_children(lab.root)) == 2000


def main():
    hosts = sys.argv[1]
    chosen = sys.argv[2:] or list(SCENARIOS)
    well = True
    for name in chosen:
        lab = Lab(hosts, name)
        start = time.monotonic()
        try:
            SCENARIOS[name](lab)
            outcome = "ok"
        except Exception as failure:
            traceback.print_exc()
            outcome = "failed %s: %s" % (type(failure).__name__, str(failure).replace("\n", " "))
            well = False
        lab.close()
        say("@time %s %d ms" % (name, (time.monotonic() - start) * 1000))
        say("@result %s %s" % (name, outcome))
    sys.exit(0 if well else 1)


if __name__ == "__main__":
    main()
