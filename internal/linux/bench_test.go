package linux

import "testing"

func BenchmarkAccess(b *testing.B) {
	c := Ctx(variantOf(b, "sched_cls"))
	for b.Loop() {
		if _, ok := c.Access(76, 4, false); !ok {
			b.Fatal("refused")
		}
	}
}

// What the first question for a type costs.
func BenchmarkOpenTypes(b *testing.B) {
	for b.Loop() {
		if _, err := openTypes(vmlinuxBTF); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStruct(b *testing.B) {
	for b.Loop() {
		if Struct("task_struct") == nil {
			b.Fatal("none")
		}
	}
}

func BenchmarkMemberTrust(b *testing.B) {
	for b.Loop() {
		MemberTrust("task_struct", "mm")
	}
}
