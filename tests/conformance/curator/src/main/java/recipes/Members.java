package recipes;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** What lives as long as its maker's session, and comes back when it goes before. */
final class Members {
    private static final int COUNT = 3;

    private Members() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("persistent-node", Members::persistentNode);
        scenarios.put("group-member", Members::group);
    }

    private static void persistentNode(Lab lab) throws Exception {
        CuratorFramework vandal = lab.client();
        List<CuratorFramework> clients = new ArrayList<>();
        List<PersistentNode> nodes = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            CuratorFramework client = lab.client();
            String path = lab.path("node-" + i);
            PersistentNode node = new PersistentNode(client, CreateMode.EPHEMERAL, false, path, Lab.bytes("data " + i));
            node.start();
            clients.add(client);
            nodes.add(node);
            lab.work("node " + i, l -> {
                Stat[] before = new Stat[1];
                Lab.await("the node is there", () -> (before[0] = vandal.checkExists().forPath(path)) != null);
                try {
                    vandal.delete().forPath(path);
                } catch (KeeperException.NoNodeException sentAgain) {
                    // It is deleted.
                }
                Lab.await("the node comes back", () -> {
                    Stat now = vandal.checkExists().forPath(path);
                    return now != null && now.getCzxid() > before[0].getCzxid();
                });
            });
        }
        lab.underFire();
        for (int i = 0; i < COUNT; i++) {
            long session = clients.get(i).getZookeeperClient().getZooKeeper().getSessionId();
            String path = lab.path("node-" + i);
            Lab.await("node " + i + " is its maker's", () -> belongsTo(vandal, path, session));
            Lab.same("data " + i, Lab.text(vandal.getData().forPath(path)), "data of node " + i);
        }
        CuratorFramework first = clients.get(0);
        long session = first.getZookeeperClient().getZooKeeper().getSessionId();
        lab.endSession(first);
        Lab.await("the node is the new session's", () -> {
            Stat now = vandal.checkExists().forPath(lab.path("node-0"));
            return now != null && now.getEphemeralOwner() != session && now.getEphemeralOwner() != 0;
        });
        for (PersistentNode node : nodes) {
            node.close();
        }
        Lab.sync(vandal);
        for (int i = 0; i < COUNT; i++) {
            Lab.check(vandal.checkExists().forPath(lab.path("node-" + i)) == null, "node " + i + " goes when it is closed");
        }
    }

    private static boolean belongsTo(CuratorFramework client, String path, long session) throws Exception {
        Stat now = client.checkExists().forPath(path);
        return now != null && now.getEphemeralOwner() == session;
    }

    private static void group(Lab lab) throws Exception {
        String path = lab.path("group");
        Set<String> all = new TreeSet<>();
        List<CuratorFramework> clients = new ArrayList<>();
        List<GroupMember> members = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            CuratorFramework client = lab.client();
            GroupMember member = new GroupMember(client, path, "member " + i, Lab.bytes("data " + i));
            member.start();
            clients.add(client);
            members.add(member);
            all.add("member " + i);
        }
        for (GroupMember member : members) {
            Lab.await("everybody sees everybody", () -> member.getCurrentMembers().keySet().equals(all));
        }
        CuratorFramework guests = lab.client();
        AtomicInteger number = new AtomicInteger();
        lab.work("guest", l -> {
            String name = "guest " + number.incrementAndGet();
            GroupMember guest = new GroupMember(guests, path, name);
            guest.start();
            for (GroupMember member : members) {
                Lab.await("a member sees the guest", () -> member.getCurrentMembers().containsKey(name));
            }
            guest.close();
            for (GroupMember member : members) {
                Lab.await("the guest is gone", () -> !member.getCurrentMembers().containsKey(name));
            }
        });
        lab.underFire();
        for (GroupMember member : members) {
            Lab.await("everybody sees everybody in the end", () -> member.getCurrentMembers().keySet().equals(all));
        }
        String ended = path + "/member 0";
        long session = clients.get(1).checkExists().forPath(ended).getEphemeralOwner();
        lab.endSession(clients.get(0));
        Lab.await("who has lost its session joins with the next", () -> {
            Stat now = clients.get(1).checkExists().forPath(ended);
            return now != null && now.getEphemeralOwner() != session;
        });
        for (GroupMember member : members) {
            Lab.await("it is a member again", () -> member.getCurrentMembers().keySet().equals(all));
        }
        members.forEach(GroupMember::close);
    }
}
