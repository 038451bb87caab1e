package recipes;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;
import org.apache.zookeeper.data.Stat;

/** Who offers a service is found, and who does not is not. */
final class Discovery {
    private static final int INSTANCES = 3;
    private static final String SERVICE = "service";

    private Discovery() {
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("service-discovery", Discovery::discovery);
    }

    private static ServiceInstance<Void> instance(String id) throws Exception {
        return ServiceInstance.<Void>builder().name(SERVICE).id(id).address("127.0.0.1").port(1).build();
    }

    private static ServiceDiscovery<Void> join(Lab lab, CuratorFramework client, String id) throws Exception {
        ServiceDiscoveryBuilder<Void> builder = ServiceDiscoveryBuilder.builder(Void.class).client(client).basePath(lab.path("services"));
        if (id != null) {
            builder.thisInstance(instance(id));
        }
        ServiceDiscovery<Void> discovery = builder.build();
        discovery.start();
        return discovery;
    }

    private static Set<String> ids(Collection<ServiceInstance<Void>> instances) {
        Set<String> ids = new TreeSet<>();
        instances.forEach(instance -> ids.add(instance.getId()));
        return ids;
    }

    private static void discovery(Lab lab) throws Exception {
        Set<String> all = new TreeSet<>();
        List<CuratorFramework> clients = new ArrayList<>();
        List<ServiceDiscovery<Void>> open = new ArrayList<>();
        for (int i = 0; i < INSTANCES; i++) {
            CuratorFramework client = lab.client();
            clients.add(client);
            open.add(join(lab, client, "instance " + i));
            all.add("instance " + i);
        }
        CuratorFramework observer = lab.client();
        ServiceDiscovery<Void> seeker = join(lab, observer, null);
        ServiceCache<Void> cache = seeker.serviceCacheBuilder().name(SERVICE).build();
        cache.start();
        ServiceProvider<Void> provider = seeker.serviceProviderBuilder().serviceName(SERVICE).build();
        provider.start();
        Callable<Boolean> isWhole = () -> ids(cache.getInstances()).equals(all) && ids(seeker.queryForInstances(SERVICE)).equals(all)
                && ids(provider.getAllInstances()).equals(all);
        Lab.await("all are found", isWhole);
        ServiceDiscovery<Void> guests = join(lab, lab.client(), null);
        AtomicInteger number = new AtomicInteger();
        lab.work("guest", l -> {
            ServiceInstance<Void> guest = instance("guest " + number.incrementAndGet());
            guests.registerService(guest);
            Lab.await("the guest is found", () -> seeker.queryForInstance(SERVICE, guest.getId()) != null
                    && ids(cache.getInstances()).contains(guest.getId()));
            guests.unregisterService(guest);
            Lab.await("the guest is not found", () -> seeker.queryForInstance(SERVICE, guest.getId()) == null
                    && !ids(cache.getInstances()).contains(guest.getId()));
        });
        lab.underFire();
        Lab.await("all are found in the end", isWhole);
        Set<String> chosen = new TreeSet<>();
        for (int i = 0; i < INSTANCES; i++) {
            chosen.add(provider.getInstance().getId());
        }
        Lab.same(all, chosen, "instances by turns");
        String ended = lab.path("services") + "/" + SERVICE + "/instance 0";
        long session = observer.checkExists().forPath(ended).getEphemeralOwner();
        lab.endSession(clients.get(0));
        Lab.await("who has lost its session offers with the next", () -> {
            Stat now = observer.checkExists().forPath(ended);
            return now != null && now.getEphemeralOwner() != session;
        });
        Lab.await("all are found again", isWhole);
        open.remove(0).close();
        all.remove("instance 0");
        Lab.await("who is closed is not found", isWhole);
        provider.close();
        cache.close();
        for (ServiceDiscovery<Void> discovery : open) {
            discovery.close();
        }
        guests.close();
        seeker.close();
    }
}
