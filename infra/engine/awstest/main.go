// Command awstest stands in for Pulumi's AWS provider in the tests of the engine, which needs the real provider's binary else. It
// answers the provider protocol for any type aws:*; what AWS would hold is a folder of JSON files, and ids are those that the real
// provider gives. It validates nothing: it is there for what the engine does, not for what AWS does.
//
// Environment: AWSTEST_DIR is the folder; AWSTEST_ACCOUNT the account of the credentials; AWSTEST_ADDR an address that is asked before and
// after everything that changes something: it gets "before create aws:s3/bucket:Bucket NAME" and answers "go", "fail TEXT" or "die".
package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

func main() {
	done := make(chan bool)
	handle, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: done,
		Init: func(s *grpc.Server) error {
			pulumirpc.RegisterResourceProviderServer(s, &provider{dir: os.Getenv("AWSTEST_DIR"), account: os.Getenv("AWSTEST_ACCOUNT"), ask: os.Getenv("AWSTEST_ADDR")})
			return nil
		},
		Options: rpcutil.TracingServerInterceptorOptions(nil),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(handle.Port) // the engine waits for it
	if len(os.Args) > 1 {    // the engine's address: when it was killed, so is this
		if err := rpcutil.Healthcheck(context.Background(), os.Args[1], time.Second, func() { os.Exit(1) }); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	<-handle.Done
}

type provider struct {
	pulumirpc.UnimplementedResourceProviderServer
	dir, account, ask string
	region            string
}

// record is one thing that AWS would hold.
type record struct {
	Type   string
	ID     string
	Inputs map[string]any
}

func (p *provider) file(kind, id string) string {
	return filepath.Join(p.dir, fmt.Sprintf("%x.json", sha256.Sum256([]byte(kind+"\x00"+id))))
}

func (p *provider) read(kind, id string) (record, error) {
	var r record
	text, err := os.ReadFile(p.file(kind, id))
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	return r, err
}

func (p *provider) write(r record) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	name := p.file(r.Type, r.ID)
	if err := os.WriteFile(name+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// fault asks the test whether to go on.
func (p *provider) fault(moment, op, kind, name string) error {
	if p.ask == "" {
		return nil
	}
	c, err := net.Dial("tcp", p.ask)
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Fprintf(c, "%s %s %s %s\n", moment, op, kind, name)
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if answer == "die\n" {
		os.Exit(1)
	}
	if text, failed := strings.CutPrefix(strings.TrimSpace(answer), "fail "); failed {
		return errors.New(text)
	}
	return nil
}

// change does op between its two faults.
func (p *provider) change(op, u string, do func() error) error {
	kind, name := string(urn.URN(u).Type()), urn.URN(u).Name()
	if err := p.fault("before", op, kind, name); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return p.fault("after", op, kind, name)
}

func (p *provider) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: "7.27.0"}, nil
}

func (p *provider) CheckConfig(_ context.Context, in *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: in.News}, nil
}

func (p *provider) DiffConfig(context.Context, *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	return &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}, nil
}

func (p *provider) Configure(_ context.Context, in *pulumirpc.ConfigureRequest) (*pulumirpc.ConfigureResponse, error) {
	args := in.Args.AsMap()
	p.region, _ = args["region"].(string)
	if allowed := fmt.Sprint(args["allowedAccountIds"]); args["allowedAccountIds"] != nil && !strings.Contains(allowed, p.account) {
		return nil, fmt.Errorf("AWS account ID not allowed: %s", p.account)
	}
	return &pulumirpc.ConfigureResponse{AcceptSecrets: false, SupportsPreview: true, AcceptResources: false}, nil
}

func (p *provider) Check(_ context.Context, in *pulumirpc.CheckRequest) (*pulumirpc.CheckResponse, error) {
	return &pulumirpc.CheckResponse{Inputs: in.News}, nil
}

// replacing are the inputs whose change makes another resource of it.
var replacing = []string{"bucket", "name", "role", "queueUrl", "objectLockEnabled"}

func (p *provider) Diff(_ context.Context, in *pulumirpc.DiffRequest) (*pulumirpc.DiffResponse, error) {
	old, news := in.Olds.AsMap(), in.News.AsMap()
	out := &pulumirpc.DiffResponse{Changes: pulumirpc.DiffResponse_DIFF_NONE}
	inputs := in.OldInputs.AsMap()
	for _, k := range slices.Sorted(maps.Keys(news)) {
		if !reflect.DeepEqual(news[k], old[k]) {
			out.Diffs = append(out.Diffs, k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(inputs)) {
		if _, ok := news[k]; !ok {
			out.Diffs = append(out.Diffs, k)
		}
	}
	for _, k := range out.Diffs {
		out.Changes = pulumirpc.DiffResponse_DIFF_SOME
		if slices.Contains(replacing, k) {
			out.Replaces, out.DeleteBeforeReplace = append(out.Replaces, k), false
		}
	}
	return out, nil
}

func (p *provider) Create(_ context.Context, in *pulumirpc.CreateRequest) (*pulumirpc.CreateResponse, error) {
	kind := string(urn.URN(in.Urn).Type())
	r := record{Type: kind, Inputs: in.Properties.AsMap()}
	r.ID = p.id(r)
	if in.Preview {
		out, err := structpb.NewStruct(r.Inputs)
		return &pulumirpc.CreateResponse{Properties: out}, err
	}
	err := p.change("create", in.Urn, func() error {
		if _, err := p.read(kind, r.ID); err == nil {
			return fmt.Errorf("%s %s exists already", kind, r.ID)
		}
		return p.write(r)
	})
	if err != nil {
		return nil, err
	}
	out, err := structpb.NewStruct(p.outputs(r))
	return &pulumirpc.CreateResponse{Id: r.ID, Properties: out}, err
}

func (p *provider) Read(_ context.Context, in *pulumirpc.ReadRequest) (*pulumirpc.ReadResponse, error) {
	r, err := p.read(string(urn.URN(in.Urn).Type()), in.Id)
	if errors.Is(err, fs.ErrNotExist) {
		return &pulumirpc.ReadResponse{}, nil
	}
	if err != nil {
		return nil, err
	}
	inputs, err := structpb.NewStruct(r.Inputs)
	if err != nil {
		return nil, err
	}
	out, err := structpb.NewStruct(p.outputs(r))
	return &pulumirpc.ReadResponse{Id: r.ID, Inputs: inputs, Properties: out}, err
}

func (p *provider) Update(_ context.Context, in *pulumirpc.UpdateRequest) (*pulumirpc.UpdateResponse, error) {
	r := record{Type: string(urn.URN(in.Urn).Type()), ID: in.Id, Inputs: in.News.AsMap()}
	if !in.Preview {
		if err := p.change("update", in.Urn, func() error { return p.write(r) }); err != nil {
			return nil, err
		}
	}
	out, err := structpb.NewStruct(p.outputs(r))
	return &pulumirpc.UpdateResponse{Properties: out}, err
}

func (p *provider) Delete(_ context.Context, in *pulumirpc.DeleteRequest) (*emptypb.Empty, error) {
	kind := string(urn.URN(in.Urn).Type())
	err := p.change("delete", in.Urn, func() error {
		if kind == "aws:s3/bucket:Bucket" || kind == "aws:sqs/queue:Queue" { // its settings go with it
			return p.remove(func(r record) bool { return r.ID == in.Id && r.Type[:6] == kind[:6] })
		}
		return p.remove(func(r record) bool { return r.ID == in.Id && r.Type == kind })
	})
	return &emptypb.Empty{}, err
}

// remove removes the records that match.
func (p *provider) remove(match func(record) bool) error {
	files, err := filepath.Glob(filepath.Join(p.dir, "*.json"))
	for _, name := range files {
		text, readErr := os.ReadFile(name)
		if errors.Is(readErr, fs.ErrNotExist) {
			continue // somebody else was faster
		}
		var r record
		if readErr = errors.Join(readErr, json.Unmarshal(text, &r)); readErr == nil && match(r) {
			readErr = os.Remove(name)
		}
		if readErr != nil && !errors.Is(readErr, fs.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
	}
	return err
}

func (p *provider) Invoke(_ context.Context, in *pulumirpc.InvokeRequest) (*pulumirpc.InvokeResponse, error) {
	answers := map[string]map[string]any{
		"aws:index/getCallerIdentity:getCallerIdentity": {"accountId": p.account, "arn": "arn:aws:iam::" + p.account + ":root", "userId": p.account, "id": p.account},
		"aws:index/getRegion:getRegion":                 {"region": p.region, "name": p.region, "id": p.region, "description": ""},
	}
	answer, ok := answers[in.Tok]
	if !ok {
		return nil, fmt.Errorf("no such function: %s", in.Tok)
	}
	out, err := structpb.NewStruct(answer)
	return &pulumirpc.InvokeResponse{Return: out}, err
}

func (p *provider) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// id is the id that the real provider gives.
func (p *provider) id(r record) string {
	in := func(name string) string { s, _ := r.Inputs[name].(string); return s }
	switch r.Type {
	case "aws:iam/rolePolicy:RolePolicy":
		return in("role") + ":" + in("name")
	case "aws:cloudtrail/trail:Trail":
		return "arn:aws:cloudtrail:" + p.region + ":" + p.account + ":trail/" + in("name")
	case "aws:glue/catalogDatabase:CatalogDatabase":
		return p.account + ":" + in("name")
	case "aws:sqs/queue:Queue":
		return "https://sqs." + p.region + ".amazonaws.com/" + p.account + "/" + in("name")
	case "aws:sqs/queuePolicy:QueuePolicy":
		return in("queueUrl")
	case "aws:kms/key:Key":
		files, _ := filepath.Glob(filepath.Join(p.dir, "*.json")) // another one each time
		return fmt.Sprintf("1234abcd-12ab-34cd-56ef-%012d", len(files))
	case "aws:bedrockmodel/invocationLoggingConfiguration:InvocationLoggingConfiguration":
		return p.region
	}
	if strings.HasPrefix(r.Type, "aws:s3/") {
		return in("bucket")
	}
	return in("name")
}

func (p *provider) outputs(r record) map[string]any {
	out := maps.Clone(r.Inputs)
	switch r.Type {
	case "aws:sqs/queue:Queue":
		out["url"] = r.ID
	case "aws:cloudtrail/trail:Trail":
		out["arn"] = r.ID
	case "aws:kms/key:Key":
		out["arn"] = "arn:aws:kms:" + p.region + ":" + p.account + ":key/" + r.ID
	}
	return out
}
