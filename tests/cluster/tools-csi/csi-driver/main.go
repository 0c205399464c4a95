// A CSI driver for ephemeral volumes, in the form of the Secrets Store CSI driver: the attribute secretProviderClass
// of a volume names a class, whose secrets become files. It registers itself at the kubelet, for which real drivers
// have another container, and has the classes in its env instead of a secret manager.
//
// In Go, because the kubelet sends an escaped socket path as :authority of its registration requests, which the HTTP/2
// server of Rust refuses.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

// The folder of the kubelet, which the pod of the driver mounts at the same path.
const kubelet = "/var/lib/kubelet"

// The attributes with which the kubelet describes the pod, because of podInfoOnMount of the CSIDriver.
const (
	podName      = "csi.storage.k8s.io/pod.name"
	podNamespace = "csi.storage.k8s.io/pod.namespace"
	ephemeral    = "csi.storage.k8s.io/ephemeral"
)

type driver struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer
	registration.UnimplementedRegistrationServer

	name, node, socket string
	// The files of each class, by name.
	classes map[string]map[string]string
}

func main() {
	d := &driver{name: os.Getenv("DRIVER"), node: os.Getenv("NODE")}
	if err := json.Unmarshal([]byte(os.Getenv("CLASSES")), &d.classes); err != nil {
		log.Fatalf("CLASSES: %v", err)
	}
	folder := filepath.Join(kubelet, "plugins", d.name)
	if err := os.MkdirAll(folder, 0o750); err != nil {
		log.Fatal(err)
	}
	d.socket = filepath.Join(folder, "csi.sock")

	volumes := grpc.NewServer()
	csi.RegisterIdentityServer(volumes, d)
	csi.RegisterNodeServer(volumes, d)
	serve(volumes, d.socket)
	// The kubelet registers every socket in this folder, so the other one must be ready.
	plugins := grpc.NewServer()
	registration.RegisterRegistrationServer(plugins, d)
	serve(plugins, filepath.Join(kubelet, "plugins_registry", d.name+"-reg.sock"))

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	<-stop
	// Removes the sockets, so that the kubelet forgets the driver.
	plugins.Stop()
	volumes.Stop()
	os.Remove(folder)
}

func serve(server *grpc.Server, socket string) {
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		if err := server.Serve(listener); err != nil {
			log.Fatal(err)
		}
	}()
}

func (d *driver) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type:              registration.CSIPlugin,
		Name:              d.name,
		Endpoint:          d.socket,
		SupportedVersions: []string{"1.0.0"},
	}, nil
}

func (d *driver) NotifyRegistrationStatus(
	_ context.Context, result *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !result.PluginRegistered {
		log.Fatalf("the kubelet refused the driver: %s", result.Error)
	}
	log.Printf("registered %s", d.name)
	return &registration.RegistrationStatusResponse{}, nil
}

func (d *driver) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: d.name, VendorVersion: "test"}, nil
}

func (d *driver) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{}, nil
}

func (d *driver) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{}, nil
}

func (d *driver) NodeGetInfo(context.Context, *csi.NodeGetInfoRequest) (*csi.NodeGetInfoResponse, error) {
	return &csi.NodeGetInfoResponse{NodeId: d.node}, nil
}

func (d *driver) NodeGetCapabilities(
	context.Context, *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	return &csi.NodeGetCapabilitiesResponse{}, nil
}

func (d *driver) NodePublishVolume(
	_ context.Context, request *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	attributes := request.GetVolumeContext()
	if attributes[ephemeral] != "true" {
		return nil, status.Error(codes.InvalidArgument, "the volume is not ephemeral")
	}
	// As the Secrets Store CSI driver does.
	if !request.GetReadonly() {
		return nil, status.Error(codes.InvalidArgument, "Readonly is not true in request")
	}
	name := attributes["secretProviderClass"]
	class, known := d.classes[name]
	if !known {
		return nil, status.Errorf(codes.NotFound, "failed to get secretproviderclass %s/%s, error: not found",
			attributes[podNamespace], name)
	}
	files := map[string]string{"pod": attributes[podNamespace] + "/" + attributes[podName]}
	for file, content := range class {
		files[file] = content
	}
	if err := publish(request.GetTargetPath(), files); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	log.Printf("published %s for %s", name, files["pod"])
	return &csi.NodePublishVolumeResponse{}, nil
}

// Writes the files to a new folder, to which the link ..data points, as the atomic writers of the kubelet and of the
// Secrets Store CSI driver do: each file is a link through ..data.
func publish(target string, files map[string]string) error {
	const version = "..2026_11_30_12_00_00.123456789"
	folder := filepath.Join(target, version)
	// The kubelet repeats the request after an error.
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return err
		}
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(target, name)); err != nil {
			return err
		}
	}
	return os.Symlink(version, filepath.Join(target, "..data"))
}

func (d *driver) NodeUnpublishVolume(
	_ context.Context, request *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	if err := os.RemoveAll(request.GetTargetPath()); err != nil {
		return nil, status.Error(codes.Internal, fmt.Sprintf("remove the volume: %v", err))
	}
	return &csi.NodeUnpublishVolumeResponse{}, nil
}
