// SPDX-License-Identifier: MIT
// The handlers of diag.so in Go, for the table of models: what a job is promised does not depend on
// who runs it. The worker around them is lib/examples/worker.go, and says more of a run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/varlink/go/varlink"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

type object map[string]interface{}

// An error of the interface, by which a handler says itself how it failed.
type failure struct {
	name       string
	parameters object
}

func (f failure) Error() string { return fmt.Sprint(f.name, f.parameters) }

func badArgument(name, wanted string) error {
	return failure{"BadArguments", object{"message": "'" + name + "' has to be " + wanted}}
}

// One run: `end` is done when somebody asks for its end; below, what diag.so knows of `args`.
type job struct {
	end                             context.Context
	args                            json.RawMessage
	say                             func(object)
	Seconds                         float64
	Signal, Message, Stdout, Stderr string
	Retry                           bool
	Details                         object
	Steps, Times                    int
}

type handler func(job) (interface{}, error)

var handlers = map[string]handler{
	"echo":     func(j job) (interface{}, error) { return j.args, nil },
	"sleep":    lasting(sleep),
	"spin":     lasting(spin),
	"crash":    reading(crash),
	"fail":     reading(fail),
	"progress": reading(progress),
	"output":   reading(output),
}

// A handler that needs more than `args`.
func reading(run handler) handler {
	return func(j job) (interface{}, error) {
		j.Seconds, j.Signal, j.Message, j.Retry, j.Times = -1, "SEGV", "diag: fail", true, 1
		wrong := &json.UnmarshalTypeError{}
		if errors.As(json.Unmarshal(j.args, &j), &wrong) {
			return nil, badArgument(strings.ToLower(wrong.Field), "a "+wrong.Type.String())
		}
		return run(j)
	}
}

// A handler that takes `seconds`, and returns them.
func lasting(wait func(job, time.Duration) error) handler {
	return reading(func(j job) (interface{}, error) {
		if j.Seconds < 0 || j.Seconds > 1e9 {
			return nil, badArgument("seconds", "a number from 0 to 1e9")
		}
		return object{"seconds": j.Seconds}, wait(j, time.Duration(j.Seconds*1e9))
	})
}

func sleep(j job, wanted time.Duration) error {
	select {
	case <-time.After(wanted):
		return nil
	case <-j.end.Done():
		return j.end.Err()
	}
}

// Never looks whether it was cancelled.
func spin(_ job, wanted time.Duration) error {
	for end := time.Now().Add(wanted); time.Now().Before(end); {
	}
	return nil
}

var signals = map[string]uintptr{"SEGV": 11, "ABRT": 6, "FPE": 8, "BUS": 7, "ILL": 4}

func crash(j job) (interface{}, error) {
	number, known := signals[j.Signal]
	if !known {
		return nil, badArgument("signal", "SEGV, ABRT, FPE, BUS or ILL")
	}
	fmt.Fprintf(os.Stderr, "diag: crash by %s\n", j.Signal)
	// The runtime's own handler makes an exit with status 2 of it, as a panic is.
	var dfl [4]uint64 // the kernel's struct sigaction: SIG_DFL, flags, restorer, a mask of 8 bytes
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, number, uintptr(unsafe.Pointer(&dfl)), 0, 8, 0, 0)
	_ = syscall.Kill(os.Getpid(), syscall.Signal(number))
	select {} // another thread may be the one that takes it
}

func fail(j job) (interface{}, error) {
	words := object{"message": j.Message, "retry": j.Retry, "details": j.Details}
	return nil, failure{"HandlerFailed", words}
}

func progress(j job) (interface{}, error) {
	for i := 1; i <= j.Steps && j.end.Err() == nil; i++ {
		j.say(object{"progress": float64(i) / float64(j.Steps)})
	}
	return object{"steps": j.Steps}, j.end.Err()
}

func output(j job) (interface{}, error) {
	for i := 0; i < j.Times && j.end.Err() == nil; i++ {
		j.say(object{"output": object{"stream": "stdout", "data": j.Stdout}})
		j.say(object{"output": object{"stream": "stderr", "data": j.Stderr}})
	}
	return object{"times": j.Times}, j.end.Err()
}

type ending struct {
	context.Context
	cancel context.CancelFunc
}

var endings, running = sync.Map{}, sync.Mutex{} // of runs, by attempt; a run, and its answer

type call struct {
	Id, Handler string
	Attempt     int
	Handlers    []string
	Args        json.RawMessage
}

func (c call) attempt() string { return fmt.Sprint(c.Id, " ", c.Attempt) }

// Two connections are read in any order: a Cancel may come before its Run.
func (c call) ending() ending {
	ctx, cancel := context.WithCancel(context.Background())
	e, _ := endings.LoadOrStore(c.attempt(), ending{ctx, cancel})
	return e.(ending)
}

type worker struct{}

func (worker) VarlinkGetName() string        { return "io.brood.Worker" }
func (worker) VarlinkGetDescription() string { return "" }

func (worker) VarlinkDispatch(ctx context.Context, c varlink.Call, method string) error {
	in := call{}
	_ = c.GetParameters(&in) // Leave has none
	switch method {
	case "Prepare":
		go func() { <-ctx.Done(); os.Exit(0) }() // the supervisor has closed its connection
		return c.Reply(ctx, object{"handlers": in.Handlers})
	case "Run":
		return run(ctx, c, in)
	case "Cancel":
		in.ending().cancel()
	case "Leave":
		defer func() { running.Lock(); os.Exit(0) }()
	}
	return c.Reply(ctx, object{})
}

func run(ctx context.Context, c varlink.Call, in call) error {
	running.Lock()
	defer running.Unlock()
	handle := handlers[in.Handler]
	if handle == nil {
		return c.ReplyError(ctx, "io.brood.Worker.NoSuchHandler", object{"handler": in.Handler})
	}
	more := varlink.Call{Conn: c.Conn, In: c.In, Continues: true}
	say := func(o object) { _ = more.Reply(ctx, o) } // an error: nobody wants to hear it
	result, err := handle(job{end: in.ending(), args: in.Args, say: say})
	endings.Delete(in.attempt())
	if err == nil {
		return c.Reply(ctx, object{"result": result})
	}
	f := failure{"HandlerFailed", object{"message": err.Error()}}
	errors.As(err, &f)
	return c.ReplyError(ctx, "io.brood.Worker."+f.name, f.parameters)
}

func main() {
	service, _ := varlink.NewService("brood", "diag", "1", "")
	_ = service.RegisterInterface(worker{})
	_ = service.Listen(context.Background(), "unix:", 0) // the socket is the one of LISTEN_FDS
}
